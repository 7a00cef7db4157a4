"""Errors say whether another try is worth it, and why it failed."""

from __future__ import annotations

import pytest

from agentherd.domain.errors import (
    AgentherdError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NameTaken,
    NotFound,
    TemplateConflict,
    TerminalError,
    Throttled,
    TransientError,
    Unauthorized,
    Unreachable,
)
from agentherd.domain.reasons import Reason


@pytest.mark.parametrize("error", [Unreachable, Throttled, Unauthorized, Conflict, Expired])
def test_what_may_succeed_later_is_transient(error: type[AgentherdError]) -> None:
    """The caller tries again."""
    assert issubclass(error, TransientError)
    assert not issubclass(error, TerminalError)


@pytest.mark.parametrize("error", [NotFound, Forbidden, Invalid, NameTaken, TemplateConflict])
def test_what_will_be_refused_again_is_terminal(error: type[AgentherdError]) -> None:
    """The person has to change something."""
    assert issubclass(error, TerminalError)
    assert not issubclass(error, TransientError)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: small', Reason.QUOTA_EXCEEDED),
        ("unable to create: namespace x is being terminated", Reason.NAMESPACE_TERMINATING),
        ('User "x" cannot create resource', Reason.FORBIDDEN),
    ],
)
def test_what_is_forbidden_says_by_what(message: str, reason: Reason) -> None:
    """Quota, the end of a namespace and permissions are three different things to do."""
    assert Forbidden(message).reason is reason


def test_the_server_may_say_when_to_come_back() -> None:
    """Throttling carries its patience with it."""
    assert Throttled("slow down", retry_after=3).retry_after == 3
    assert Unreachable("gone").retry_after is None
