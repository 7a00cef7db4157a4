"""The configuration of the sample agent: read as a mounted ConfigMap, reloaded, refused."""

import shutil

import pytest
from sample_agent.config import ConfigDirectory, ConfigRejectedError


def test_a_swapped_configuration_is_in_use_after_the_next_tick(start, mounted, events):
    agent = start(greeting="Hello")

    mounted.swap({"greeting": "Bonjour", "threshold": "0.9"})
    agent.tick()

    assert agent.config.settings.greeting == "Bonjour"
    assert agent.config.settings.threshold == 0.9
    assert events.data("config-loaded")["hash"] == agent.config.digest


def test_an_unchanged_configuration_is_loaded_once(start, mounted, events):
    agent = start(greeting="Hello")

    mounted.swap({"greeting": "Hello"})
    agent.tick()
    agent.tick()

    assert events.names == ["config-loaded"]


def test_a_plain_directory_is_watched_as_well(tmp_path):
    (tmp_path / "greeting").write_text("Hello\n")
    directory = ConfigDirectory(tmp_path)
    directory.first()

    (tmp_path / "greeting").write_text("Good morning\n")
    changed = directory.changed()

    assert changed is not None
    assert changed.settings.greeting == "Good morning"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", "high"),
        ("threshold", "nan"),
        ("errorRate", "1.5"),
        ("latencySeconds", "-1"),
        ("probe", "maybe"),
        ("crashAfterSeconds", ""),
        ("faultSeed", "1.5"),
    ],
)
def test_a_value_that_cannot_be_used_leaves_the_last_good_configuration_in_use(
    start, mounted, events, key, value
):
    agent = start(greeting="Hello")
    good = agent.config

    mounted.swap({"greeting": "Bonjour", key: value})
    agent.tick()
    agent.tick()

    assert agent.config is good
    assert events.names == ["config-loaded", "config-rejected"]
    assert events.data("config-rejected")["key"] == key


def test_a_configuration_is_accepted_again_after_a_refused_one(start, mounted):
    agent = start(greeting="Hello")
    mounted.swap({"greeting": "Hello", "errorRate": "lots"})
    agent.tick()

    mounted.swap({"greeting": "Hola", "errorRate": "0.5"})
    agent.tick()

    assert agent.config.settings.greeting == "Hola"


def test_bytes_that_are_no_text_are_refused(start, mounted, events):
    agent = start(greeting="Hello")

    (mounted.path / "..data" / "greeting").write_bytes(b"\xff\xfe")
    agent.tick()

    assert "UTF-8" in events.data("config-rejected")["error"]


def test_an_agent_does_not_start_with_a_configuration_that_it_refuses(start):
    with pytest.raises(ConfigRejectedError, match="errorRate is '2', wanted is a number from 0 to"):
        start(errorRate="2")


def test_a_key_that_means_nothing_here_is_reported(start, events):
    start(greeting="Hello", errorrate="0.5")

    assert events.data("config-loaded")["unknown"] == ("errorrate",)


def test_no_directory_means_the_defaults(tmp_path):
    loaded = ConfigDirectory(tmp_path / "missing").first()

    assert loaded.settings.greeting == "Hello"
    assert loaded.settings.error_rate == 0


def test_a_version_that_vanishes_while_it_is_looked_at_changes_nothing(start, mounted, events):
    agent = start(greeting="Hello")

    shutil.rmtree((mounted.path / "..data").resolve())
    agent.tick()

    assert agent.config.settings.greeting == "Hello"
    assert events.names == ["config-loaded"]
