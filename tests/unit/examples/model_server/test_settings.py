"""What can be set of the sample model server, and what is refused."""

import pytest
from model_server.settings import KEYS, Settings, SettingsRejectedError, Source, load, variable

README = "examples/README.md"


def test_without_environment_and_files_all_is_as_documented(tmp_path):
    assert Source({}, tmp_path / "nowhere").first() == Settings()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("accuracy", "MODEL_ACCURACY"),
        ("warmUp", "MODEL_WARM_UP"),
        ("latencySeconds", "MODEL_LATENCY_SECONDS"),
        ("memoryLeakMBPerSecond", "MODEL_MEMORY_LEAK_MB_PER_SECOND"),
    ],
)
def test_each_key_has_a_variable_of_its_name(key, name):
    assert variable(key) == name


def test_a_file_stands_above_the_variable_of_its_key(mounted):
    mounted.swap({"latencySeconds": "0.2\n"})
    environment = {"MODEL_LATENCY_SECONDS": "0.1", "MODEL_ERROR_RATE": "0.5"}

    settings = Source(environment, mounted.path).first()

    assert (settings.latency_seconds, settings.error_rate) == (0.2, 0.5)


def test_a_file_that_goes_leaves_the_variable(mounted):
    source = Source({"MODEL_ACCURACY": "0.9"}, mounted.path)
    mounted.swap({"accuracy": "0.7"})
    before = source.first()

    mounted.swap({})
    (mounted.path / "accuracy").unlink()

    assert (before.accuracy, source.changed().accuracy) == (0.7, 0.9)


def test_settings_that_stay_are_no_change(mounted):
    mounted.swap({"accuracy": "0.7"})
    source = Source({}, mounted.path)
    source.first()

    mounted.swap({"accuracy": "0.7"})

    assert source.changed() is None


def test_a_misspelt_key_can_be_named(mounted):
    mounted.swap({"latencySecond": "1", "accuracy": "1"})
    source = Source({}, mounted.path)
    source.first()

    assert source.unknown() == ["latencySecond"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("name", ""),
        ("backend", "torch"),
        ("precision", "int4"),
        ("dimension", "0"),
        ("startSeconds", "-1"),
        ("warmUp", "maybe"),
        ("warmUpFailures", "1.5"),
        ("latencySeconds", "nan"),
        ("errorRate", "1.1"),
        ("accuracy", "good"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_is_wanted(key, text):
    with pytest.raises(SettingsRejectedError, match=f"{key} is '{text}', wanted is ") as refused:
        load({key: text})

    assert refused.value.key == key


def test_what_is_refused_is_told_once(mounted):
    source = Source({}, mounted.path)
    mounted.swap({"errorRate": "2"})

    with pytest.raises(SettingsRejectedError):
        source.changed()

    assert source.changed() is None


def test_the_readme_has_each_key(pytestconfig):
    readme = (pytestconfig.rootpath / README).read_text(encoding="utf-8")

    assert [key for key in KEYS if f"| `{key}` |" not in readme] == []
