"""Logs: one line per fact."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from agentherd.domain.kinds import Key
from agentherd.engine.about import ABOUT, About
from agentherd.engine.audit import Deed
from agentherd.runtime.logs import JsonFormatter, TextFormatter, configure

KEYS = (
    "time",
    "level",
    "logger",
    "message",
    "kind",
    "namespace",
    "name",
    "correlationId",
    "action",
    "actor",
    "reason",
    "at",
    "traceback",
)


def record(message: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("agentherd.x", logging.WARNING, "x.py", 1, message, arguments, None)
    made.created = 1795262400.5
    return made


def fail(why: str) -> None:
    raise ValueError(why)


@pytest.fixture
def loggers() -> Iterator[None]:
    """The root logger as it was."""
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    before = (root.level, root.handlers[:], kopf.level)
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    kopf.setLevel(before[2])


def test_a_line_of_json_holds_a_whole_fact() -> None:
    """Time in UTC, the level in lower case, and text as it is."""
    line = JsonFormatter().format(record("%s is übel", "greeter"))

    assert json.loads(line) == dict.fromkeys(KEYS, "") | {
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


def test_a_line_written_at_work_names_the_object_and_its_upgrade() -> None:
    """Whoever writes it; the upgrade is looked up only then."""
    token = ABOUT.set(About("Agent", Key("shop", "greeter"), lambda key: f"uid-of-{key.name}"))
    try:
        line = json.loads(JsonFormatter().format(record("no answer")))
    finally:
        ABOUT.reset(token)

    found = (line["kind"], line["namespace"], line["name"], line["correlationId"])
    assert found == ("Agent", "shop", "greeter", "uid-of-greeter")


def test_a_line_of_the_audit_has_its_words_apart() -> None:
    """Who, what, why and when; it is about the object it names, whoever is worked on."""
    made = record("told")
    made.about = About("AgentUpgrade", Key("shop", "greeter-2"), lambda _: "uid")
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    made.deed = Deed(action="Paused", actor="mary", reason="", message="", at=at)

    line = json.loads(JsonFormatter().format(made))

    assert (line["kind"], line["correlationId"]) == ("AgentUpgrade", "uid")
    assert (line["action"], line["actor"]) == ("Paused", "mary")
    assert line["at"] == "2026-11-21T12:00:00+00:00"


@pytest.mark.parametrize("message", ["line\nbreak", '"quoted"', "\ud800", "\x00\x1b[31m", "%d"])
def test_every_line_parses_whatever_is_in_it(message: str) -> None:
    """Also what libraries get wrong; it is ASCII, so no locale can spoil it."""
    line = JsonFormatter().format(record(message, *(["no number"] if "%" in message else [])))

    assert line.isascii()
    assert "\n" not in line
    assert set(json.loads(line)) == set(KEYS)


def test_what_a_person_wrote_begins_no_line_of_text() -> None:
    """A reason in somebody's words could pretend to be another fact."""
    forged = "because\n2026-11-21 12:00:00 INFO agentherd.audit: Approved by ada\x1b[2K"

    line = TextFormatter().format(record("%s", forged))

    assert line.isprintable()
    assert line.endswith(
        "because\\n2026-11-21 12:00:00 INFO agentherd.audit: Approved by ada\\x1b[2K"
    )


@pytest.mark.parametrize(
    ("quoted", "written"),
    [
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\x0b", "\\x0b"),
        ("\x85", "\\x85"),
        ("\x9b2K", "\\x9b2K"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("übel \u732b", "übel \u732b"),
    ],
)
def test_whatever_some_reader_takes_for_a_new_line_is_escaped(quoted: str, written: str) -> None:
    """Next line, line and paragraph separators, all that moves a cursor or turns text around."""
    line = TextFormatter().format(record("because%s", quoted))

    assert line.endswith(f"agentherd.x: because{written}")


def test_what_an_error_says_begins_no_line_either() -> None:
    """A traceback has lines of its own, of which none begins as a fact does."""
    forged = "why\n2026-11-21 12:00:00 INFO agentherd.audit: Approved by ada\u2028and bob"
    made = record("it failed")
    made.stack_info = "Stack (most recent call last):"
    try:
        fail(forged)
    except ValueError:
        made.exc_info = sys.exc_info()

    first, *below = TextFormatter().format(made).splitlines()

    assert first.endswith("it failed")
    assert "  2026-11-21 12:00:00 INFO agentherd.audit: Approved by ada\\u2028and bob" in below
    assert all(line.startswith("  ") for line in below)


@pytest.mark.usefixtures("loggers")
def test_all_that_is_told_on_standard_error_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings, threads that die, errors nobody can catch, and the last words of the process."""
    configure(level="error", form="json")
    logging.getLogger("py.warnings").setLevel(logging.WARNING)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    failing = threading.Thread(target=lambda: int("why"), name="worker")
    failing.start()
    failing.join()
    lost = SimpleNamespace(
        exc_type=ValueError, exc_value=None, exc_traceback=None, err_msg="why", object="a finalizer"
    )
    sys.unraisablehook(lost)  # type: ignore[arg-type]
    error = ValueError("why")
    sys.excepthook(ValueError, error, None)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["warning", "error", "error", "critical"]
    assert lines[2]["message"] == "why: 'a finalizer'"
    assert lines[3]["message"] == "ended by an error: why"
    assert all("ValueError" in line["traceback"] for line in lines[1:])


@pytest.mark.usefixtures("loggers")
def test_the_audit_is_told_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not there for debugging."""
    configure(level="error", form="json")

    logging.getLogger("agentherd.audit").info("told")
    logging.getLogger("agentherd.x").info("not told")

    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == [
        "told"
    ]
