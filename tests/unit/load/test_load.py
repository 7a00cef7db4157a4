"""The life of a load, with a script in the place of the generator."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.load.load import GeneratorFailed, Load
from tests.load.request import Request
from tests.load.target import Target

Line = Callable[..., bytes]
Run = Callable[..., Load]

GENERATOR = """#!/bin/sh
if [ "$1" = encode ]; then exec cat; fi
{attack}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A load whose generator does what the script says."""

    def run(attack: str) -> Load:
        vegeta = tmp_path / "vegeta"
        vegeta.write_text(GENERATOR.format(attack=attack))
        vegeta.chmod(0o755)
        return Load(
            Target(url="http://127.0.0.1:1"),
            Request(timeout=0.1),
            rate=1,
            seconds=0.1,
            directory=tmp_path,
            vegeta=vegeta,
        )

    return run


@pytest.fixture
def written(tmp_path: Path, line: Line) -> Callable[..., Path]:
    """A file with the records of these requests."""

    def written(*numbers: int, name: str = "records") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(line(number=number) for number in numbers))
        return path

    return written


def test_a_finished_load_reports_every_request(run: Run, written: Callable[..., Path]) -> None:
    with run(f"cat {written(1, 0, 2)}") as load:
        report = load.finish()

    assert [answer.number for answer in report.answers] == [0, 1, 2]


def test_a_load_can_be_looked_at_while_it_runs(run: Run, written: Callable[..., Path]) -> None:
    """A record that is half written is left for the next look."""
    first, second = written(0), written(1, name="second")
    with run(f"cat {first}; head -c 20 {second}; exec sleep 60") as load:
        while not load.so_far().sent:
            time.sleep(0.01)

        assert load.so_far().sent == 1


def test_a_record_that_ends_during_the_look_is_one_record(
    run: Run, written: Callable[..., Path]
) -> None:
    """Its second half, which comes right after the first was read, is none of its own."""
    numbers = range(1000)
    with run(f"dd bs=1 if={written(*numbers)} 2>/dev/null; exec sleep 60") as load:
        while load.so_far().sent < len(numbers):
            pass

        assert [answer.number for answer in load.so_far().answers] == [*numbers]


def test_a_stopped_load_ends_with_what_was_in_flight(
    run: Run, written: Callable[..., Path]
) -> None:
    begun, rest = written(0), written(1, name="rest")
    script = f"trap 'kill $!; cat {rest}; exit 0' TERM; cat {begun}; sleep 60 & wait"
    with run(script) as load:
        while not load.so_far().sent:
            time.sleep(0.01)

        assert load.stop().sent == 2


def test_a_generator_that_fails_proves_nothing(run: Run) -> None:
    with run("echo no such option >&2; exit 2") as load, pytest.raises(GeneratorFailed) as failed:
        load.finish()

    assert "no such option" in str(failed.value)


def test_neither_does_one_that_loses_a_request(run: Run, written: Callable[..., Path]) -> None:
    with run(f"cat {written(0, 2)}") as load, pytest.raises(GeneratorFailed):
        load.finish()


def test_nothing_runs_after_a_test_that_fails(run: Run) -> None:
    load = run("exec sleep 60")

    with pytest.raises(ZeroDivisionError), load:
        raise ZeroDivisionError

    attack, encode = (process.returncode for process in load._running())
    assert attack == -9
    assert encode is not None  # it may have come to the end of its input first
