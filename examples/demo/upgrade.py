"""An Agent is changed while it is asked fifty times a second.

First to a version that is good, then to one that fails its health check soon after it has been
given its first requests. What is promised is checked: the one ends at the new version, the other
back at the old one, both have had requests, and none is lost in either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from examples.demo.change import (
    Change,
    Subject,
    confirm,
    keep_promise,
    took,
    wait_until_it_rests,
)
from examples.demo.shell import Request, Shell, answer_to, wait_for
from examples.demo.terminal import say, title

AGENT: Final = "greeter"
HOST: Final = "greeter.agentherd.local"
GREETER: Final = Subject(
    kind="agent",
    name=AGENT,
    request=Request(host=HOST, path="/task", body='{"task": "greet"}'),
    rate=50,
)

SECONDS_OF_HEALTH: Final = 15
"""For how long the bad version looks like a good one."""


def upgrade(shell: Shell, gateway: str) -> str:
    """Make a good change, then a bad one; returns the name of the upgrade that was rolled back."""
    wait_until_it_rests(shell, GREETER)
    old = wait_for("the greeter's answer", lambda: _version(gateway))
    good = next_version(shell.look(f"{GREETER}", ".spec.version"))
    bad = next_version(good)

    title(f"Upgrade the greeter from {old} to {good}, under {GREETER.rate} requests a second")
    well = Change(
        shell, GREETER, old=old, new=good, spec=_spec(good, fails_after=None), serves=good
    )
    status = well.make()
    keep_promise(well, status, phase="Succeeded")
    confirm(well.total, f"{good} has taken over step by step, in {took(status)} s")

    title(f"Upgrade it to {bad}, which fails its health check after {SECONDS_OF_HEALTH} s")
    fault = _spec(bad, fails_after=SECONDS_OF_HEALTH)
    badly = Change(shell, GREETER, old=good, new=bad, spec=fault, serves=good)
    status = badly.make()
    keep_promise(badly, status, phase="RolledBack")
    record = status["rollback"]
    confirm(badly.total, f"{bad} was taken back {_soon(record['durationSeconds'])}")
    say(f"  why: {record['reason']} ({record['trigger']})")
    say(f"  The Agent still asks for {bad}; its condition Ready says why it has not got it.")
    return badly.name


def next_version(version: str) -> str:
    """The next minor version."""
    major, minor, _ = version.split(".", 2)
    return f"{major}.{int(minor) + 1}.0"


def _spec(version: str, *, fails_after: int | None) -> Mapping[str, object]:
    """A key without a value is removed, if it is there from an earlier change."""
    fault = None if fails_after is None else str(fails_after)
    config = {"greeting": f"Hello from {version}", "probeFailAfterSeconds": fault}
    return {"version": version, "config": config}


def _soon(seconds: int) -> str:
    return f"{seconds} s after it was seen to fail" if seconds else "as soon as it was seen to fail"


def _version(gateway: str) -> str | None:
    """Which version answers, if any does."""
    answer = answer_to(Request(host=HOST), gateway)
    return None if answer is None else str(json.loads(answer)["version"])
