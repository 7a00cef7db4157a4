"""Logs: one line per fact, as text for people or as JSON for machines.

Every line of JSON has the same keys, so that who reads them need not ask which there are; what a
line has nothing to say of is "". Whatever is written to standard error is such a line: what
libraries tell, warnings of Python, and the last words of a process that ends by an error.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from agentherd.engine.about import ABOUT, About
from agentherd.engine.audit import AUDIT, Deed

FORMATS: Final = ("text", "json")

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no locale and no broken character can spoil it."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        about: About | None = getattr(record, "about", None) or ABOUT.get()
        deed: Deed | None = getattr(record, "deed", None)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "kind": about.kind if about else "",
            "namespace": about.key.namespace if about else "",
            "name": about.key.name if about else "",
            "correlationId": about.correlation_id if about else "",
            "action": deed.action if deed else "",
            "actor": deed.actor if deed else "",
            "reason": deed.reason if deed else "",
            "at": deed.at.isoformat() if deed else "",
            "traceback": self._traceback(record),
        }
        return json.dumps(entry)

    def _traceback(self, record: logging.LogRecord) -> str:
        told = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            told.append(self.formatStack(record.stack_info))
        return "\n".join(told)


class TextFormatter(logging.Formatter):
    """One line for people, and a traceback indented below it; what they quote begins no line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (named by logging)
        """Put the parts of a line together."""
        return _seen(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  (named by logging)
        """A traceback, whose last lines are what the error says."""
        return _below(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802  (named by logging)
        """Where a line was written, if it tells that."""
        return _below(super().formatStack(stack_info))


def _seen(text: str) -> str:
    """What can be printed as it is, and all else by its number.

    Terminals and readers of logs break lines at more than a newline, and turn text around.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def _below(text: str) -> str:
    return "\n".join(f"  {_seen(line)}" for line in text.split("\n"))


def configure(*, level: str, form: str) -> None:
    """Log to standard error, from now on all that this process has to say.

    kopf tells of every handler call, which is as many lines as events. The audit is told at every
    level.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _last_words
    sys.unraisablehook = _unraisable
    threading.excepthook = _of_thread


def _message(record: logging.LogRecord) -> str:
    """The message; that of a record whose arguments do not fit is told as it is."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


def _last_words(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("ended by an error: %s", error, exc_info=(kind, error, traceback))


def _unraisable(told: Any) -> None:
    error = told.exc_value or told.exc_type()
    what = f"{told.err_msg or 'ignored'}: {told.object!r}"
    log.error("%s", what, exc_info=(told.exc_type, error, told.exc_traceback))


def _of_thread(told: threading.ExceptHookArgs) -> None:
    error = told.exc_value or told.exc_type()
    name = told.thread.name if told.thread else "unknown"
    log.error("thread %s ended", name, exc_info=(told.exc_type, error, told.exc_traceback))
