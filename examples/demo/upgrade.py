"""An Agent is changed while it is asked a hundred times a second.

First to a version that is good, then to one that fails its health check soon after it has been
given its first requests. What is promised is checked: the one ends at the new version, the other
back at the old one, and no request is lost in either.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from devcluster.providers import find
from examples.demo import timeline
from examples.demo.load import Answer, Load
from examples.demo.shell import PATIENCE, DemoError, Shell, request, say, title, wait_for
from examples.demo.timeline import Tally

AGENT: Final = "greeter"
HOST: Final = "greeter.agentherd.local"
RATE: Final = 100
BEFORE: Final = 2
AFTER: Final = 3
"""Seconds for which the Agent is watched before a change and after it."""

SECONDS_OF_HEALTH: Final = 10
"""For how long the bad version looks like a good one."""

ENDED: Final = frozenset({"Succeeded", "RolledBack", "Superseded"})


def upgrade(shell: Shell, gateway: str) -> str:
    """Make a good change, then a bad one; returns the name of the upgrade that was rolled back."""
    shell.here("wait", "--for=condition=Available", f"agent/{AGENT}", "--timeout=90s")
    old = wait_for("the greeter's answer", lambda: _version(gateway))
    asked = shell.look(f"agent/{AGENT}", ".spec.version")
    good = next_version(asked)
    bad = next_version(good)

    title(f"Upgrade the greeter from {old} to {good}, under load")
    well = Change(shell, old=old, new=good, config=_config(good, fails_after=None))
    status = _under_load(well)
    keep_promise(status, "Succeeded", well)
    say(f"Nothing was lost: {well.tally}.")
    say(f"{good} was given its part step by step, and everything after {_took(status)} s.")

    title(f"Upgrade it to {bad}, which fails its health check after {SECONDS_OF_HEALTH} s")
    badly = Change(shell, old=good, new=bad, config=_config(bad, fails_after=SECONDS_OF_HEALTH))
    status = _under_load(badly)
    keep_promise(status, "RolledBack", badly)
    record = status["rollback"]
    say(f"Nothing was lost: {badly.tally}.")
    say(f"It was taken back because {record['reason']} ({record['trigger']}).")
    say(f"All requests went to {good} again {_soon(record['durationSeconds'])} that was seen.")
    say(f"The Agent still asks for {bad}; its condition Ready says why it has not got it.")
    return badly.name


class Change:
    """One change of the Agent: the upgrade that makes it, and the requests that were sent."""

    def __init__(self, shell: Shell, *, old: str, new: str, config: Mapping[str, str | None]):
        self.old = old
        self.new = new
        self.name = ""
        self.tally = Tally()
        self._shell = shell
        self._config = config

    def make(self, load: Load) -> Mapping[str, Any]:
        """Change the Agent under load, and print each second of it; returns the last status."""
        began = time.monotonic()
        ended: int | None = None
        status: Mapping[str, Any] = {}
        second = 0
        while ended is None or second < ended + AFTER:
            if second == BEFORE:
                self._patch()
            second += 1
            time.sleep(max(0.0, began + second - time.monotonic()))
            status = self._status()
            self._show(second, status, load.new())
            if ended is None and status.get("phase") in ENDED:
                ended = second
            if second > PATIENCE:
                raise DemoError(f"upgrade {self.name} has not ended after {second} s: {status}")
        self.tally.add(load.stop())
        return status

    def _patch(self) -> None:
        """The new version and the config; an upgrade is named after the generation of the spec."""
        patch = json.dumps({"spec": {"version": self.new, "config": self._config}})
        self._shell.here("patch", "agent", AGENT, "--type=merge", "-p", patch)
        self.name = f"{AGENT}-{self._shell.look(f'agent/{AGENT}', '.metadata.generation')}"

    def _status(self) -> Mapping[str, Any]:
        text = self._shell.look(f"agentupgrade/{self.name}", ".status") if self.name else ""
        status: Mapping[str, Any] = json.loads(text or "{}")
        return status

    def _show(self, second: int, status: Mapping[str, Any], answers: list[Answer]) -> None:
        self.tally.add(answers)
        say(timeline.line(second, status, answers, old=self.old, new=self.new))


def _under_load(change: Change) -> Mapping[str, Any]:
    provider = find(Progress())
    with tempfile.TemporaryDirectory() as directory:
        load = Load(
            provider.gateway,
            host=HOST,
            rate=RATE,
            directory=Path(directory),
            enter=provider.enter,
        )
        say(timeline.head(change.old, change.new))
        with load:
            return change.make(load)


def keep_promise(status: Mapping[str, Any], phase: str, change: Change) -> None:
    """What the demo has said would happen."""
    if status.get("phase") != phase:
        said = next((c["message"] for c in status.get("conditions", ()) if c["message"]), "")
        raise DemoError(f"upgrade {change.name} is {status.get('phase')}, not {phase}: {said}")
    if change.tally.failed:
        raise DemoError(f"{change.tally}; {dict(change.tally.errors)}")


def _config(version: str, *, fails_after: int | None) -> Mapping[str, str | None]:
    """A key without a value is removed, if it is there from an earlier change."""
    fault = None if fails_after is None else str(fails_after)
    return {"greeting": f"Hello from {version}", "probeFailAfterSeconds": fault}


def next_version(version: str) -> str:
    """The next minor version."""
    major, minor, _ = version.split(".", 2)
    return f"{major}.{int(minor) + 1}.0"


def _took(status: Mapping[str, Any]) -> int:
    """Seconds from the beginning of an upgrade to its end."""
    began, ended = (datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt"))
    return round((ended - began).total_seconds())


def _soon(seconds: int) -> str:
    return f"{seconds} s after" if seconds else "within a second of when"


def _version(gateway: str) -> str | None:
    """Which version answers, if any does."""
    answer = request(gateway, host=HOST)
    return None if answer is None else str(json.loads(answer)["version"])
