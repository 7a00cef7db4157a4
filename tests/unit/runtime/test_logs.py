"""Logs: one line per fact."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from agentherd.runtime.logs import JsonFormatter, configure


def record(message: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("agentherd.x", logging.WARNING, "x.py", 1, message, arguments, None)
    made.created = 1795262400.5
    return made


@pytest.fixture
def loggers() -> Iterator[None]:
    """The root logger as it was."""
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    before = (root.level, root.handlers[:], kopf.level)
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    kopf.setLevel(before[2])


def test_a_line_of_json_holds_a_whole_fact() -> None:
    """Time in UTC, the level in lower case, and text as it is."""
    line = JsonFormatter().format(record("%s is übel", "greeter"))

    assert json.loads(line) == {
        "time": "2026-11-21T12:00:00.500+00:00",
        "level": "warning",
        "logger": "agentherd.x",
        "message": "greeter is übel",
    }


def test_a_traceback_is_part_of_its_line() -> None:
    """Machines read line by line."""
    made = record("it failed")
    try:
        int("why")
    except ValueError:
        made.exc_info = sys.exc_info()

    line = JsonFormatter().format(made)

    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False)])
@pytest.mark.usefixtures("loggers")
def test_the_form_of_the_logs_is_chosen(
    capsys: pytest.CaptureFixture[str], form: str, *, is_json: bool
) -> None:
    """On standard error."""
    configure(level="info", form=form)

    logging.getLogger("agentherd.x").info("hello")

    written = capsys.readouterr().err
    assert written.startswith("{") is is_json
    assert "hello" in written


@pytest.mark.parametrize(
    ("level", "kopf"),
    [("debug", logging.WARNING), ("info", logging.WARNING), ("error", logging.ERROR)],
)
@pytest.mark.usefixtures("loggers")
def test_kopf_is_never_louder_than_its_warnings(level: str, kopf: int) -> None:
    """It tells of every call of a handler."""
    configure(level=level, form="text")

    assert logging.getLogger("kopf").level == kopf
