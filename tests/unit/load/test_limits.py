"""Where load may go, and how much."""

import json
from pathlib import Path

import pytest
from tests.load.load import Load, TooMuch
from tests.load.request import Request, stream, task
from tests.load.target import NotOurs, Target

LOCAL = "http://127.0.0.1:8000"


@pytest.mark.parametrize("url", [LOCAL, "http://localhost:8000", "http://[::1]:8000"])
def test_load_may_go_to_the_loopback(url: str) -> None:
    assert Target(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.88.0.1:8000",
        "http://192.168.1.1",
        "http://example.org",
        "http://127.0.0.1@example.org/",
        "http://",
    ],
)
def test_load_goes_to_no_other_address(url: str) -> None:
    with pytest.raises(NotOurs):
        Target(url=url)


@pytest.mark.parametrize("address", ["10.88.0.1", "10.89.3.7", "10.90.0.44"])
def test_inside_the_clusters_namespace_its_own_networks_are_open(address: str) -> None:
    assert Target(url=f"http://{address}:8000", enter=("nsenter",)).enter


def test_nothing_else_is_open_from_there() -> None:
    with pytest.raises(NotOurs):
        Target(url="http://10.91.0.1", enter=("nsenter",))


@pytest.mark.parametrize(("rate", "seconds"), [(10_000, 60), (0.1, 86_400)])
def test_a_load_has_an_end(rate: float, seconds: float, tmp_path: Path) -> None:
    with pytest.raises(TooMuch):
        Load(Target(url=LOCAL), Request(), rate=rate, seconds=seconds, directory=tmp_path)


@pytest.mark.parametrize(("rate", "words"), [(200, "-rate=12000/1m"), (0.5, "-rate=30/1m")])
def test_a_rate_may_be_less_than_one_a_second(rate: float, words: str, tmp_path: Path) -> None:
    load = Load(Target(url=LOCAL), Request(), rate=rate, seconds=10, directory=tmp_path)

    assert words in load.words()


def test_the_gateway_is_told_the_host_name() -> None:
    asked = json.loads(Request(host="hello.test", headers={"X-Tester": "yes"}).target(LOCAL))

    assert asked["url"] == f"{LOCAL}/"
    assert asked["header"] == {"Host": ["hello.test"], "X-Tester": ["yes"]}


def test_a_task_is_sent_as_a_post_that_nobody_repeats() -> None:
    assert task().method == "POST"


def test_a_stream_may_take_as_long_as_it_is() -> None:
    asked = stream(seconds=60)

    assert asked.timeout > 60
    assert asked.path == "/stream?seconds=60"
