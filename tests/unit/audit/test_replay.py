"""What the API server has noted tells which permissions of the operator are used."""

from __future__ import annotations

import json
from typing import Any

from tests.audit.replay import UNSEEN, Permission, asked, compare, granted

ACCOUNT = "system:serviceaccount:agentherd:agentherd"


def line(verb: str, *, user: str = ACCOUNT, agent: str = "agentherd/0.1.0", **found: Any) -> str:
    event = {"verb": verb, "user": {"username": user}, "userAgent": agent}
    return json.dumps(event | ({"objectRef": found} if found else {}), separators=(",", ":"))


def test_a_request_is_told_as_a_role_would_grant_it() -> None:
    """With its group, and its subresource after a slash."""
    lines = [
        line("watch", resource="pods"),
        line("patch", resource="agents", subresource="status", apiGroup="agentherd.dev"),
    ]

    assert set(asked(lines)) == {
        Permission("watch", "", "pods"),
        Permission("patch", "agentherd.dev", "agents/status"),
    }


def test_what_is_applied_and_was_not_there_is_created() -> None:
    """The API server asks for both permissions then, and notes the one verb."""
    done = json.loads(line("patch", resource="pods")) | {"responseStatus": {"code": 201}}

    verbs = {each.verb for each in asked([json.dumps(done, separators=(",", ":"))])}

    assert verbs == {"create", "patch"}


def test_only_what_operators_ask_for_counts() -> None:
    """Neither what administrators and other programs do, nor what is no object."""
    lines = [
        line("delete", resource="secrets", user="admin"),
        line("delete", resource="secrets", agent="kubectl/1.36"),
        line("get"),
    ]

    assert not set(asked(lines))


def test_both_what_is_too_much_and_what_is_too_little_is_found() -> None:
    """By the same comparison."""
    rule = {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["create", "get"]}

    found = compare(granted([{"rules": [rule]}]), asked([line("get", resource="secrets")]))

    assert [str(each) for each in found.missing] == ["get core secrets"]
    assert [str(each) for each in found.unused] == [
        "create apps replicasets",
        "get apps replicasets",
    ]


def test_what_no_request_tells_of_is_not_asked_for() -> None:
    """Only where the reason is written down."""
    words = [name.split() for name in UNSEEN]
    rules = [{"apiGroups": [g], "resources": [r], "verbs": [v]} for v, g, r in words]

    assert compare(granted([{"rules": rules}]), ()).unused == ()
