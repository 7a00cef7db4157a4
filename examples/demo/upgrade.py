"""An Agent is changed while it is asked fifty times a second.

First to a version that is good, then to one that fails its health check soon after it has been
given its first requests. What is promised is checked: the one ends at the new version, the other
back at the old one, both have had requests, and none is lost in either.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from devcluster.providers import find
from examples.demo.load import Answer, Load
from examples.demo.shell import DemoError, Shell, request, wait_for
from examples.demo.terminal import Style, command, say, styled, title
from examples.demo.timeline import Tally, Timeline

AGENT: Final = "greeter"
HOST: Final = "greeter.agentherd.local"
RATE: Final = 50
BEFORE: Final = 2
"""Seconds for which the Agent is watched before a change."""

ALONE: Final = 3
SETTLED: Final = 20
"""After a change, one version has to be the only one to answer for so many seconds in a row; the
second is when it is too late for that: the Gateway of a busy machine takes a while to follow."""

NOTICED: Final = 30
LONGEST: Final = 150
"""Seconds within which a change has to be noticed, and to end."""

SECONDS_OF_HEALTH: Final = 15
"""For how long the bad version looks like a good one."""

ENDED: Final = frozenset({"Succeeded", "RolledBack", "Superseded"})

Status = Mapping[str, Any]


def upgrade(shell: Shell, gateway: str) -> str:
    """Make a good change, then a bad one; returns the name of the upgrade that was rolled back."""
    wait_for("the greeter's last upgrade to end", lambda: _rests(shell) or None)
    shell.here("wait", "--for=condition=Available", f"agent/{AGENT}", "--timeout=90s", quiet=True)
    old = wait_for("the greeter's answer", lambda: _version(gateway))
    good = next_version(shell.look(f"agent/{AGENT}", ".spec.version"))
    bad = next_version(good)

    title(f"Upgrade the greeter from {old} to {good}, under {RATE} requests a second")
    well = Change(shell, old=old, new=good, config=_config(good, fails_after=None), serves=good)
    status = well.make()
    keep_promise(well, status, phase="Succeeded")
    _confirm(well.total, f"{good} has taken over step by step, in {_took(status)} s")

    title(f"Upgrade it to {bad}, which fails its health check after {SECONDS_OF_HEALTH} s")
    fault = _config(bad, fails_after=SECONDS_OF_HEALTH)
    badly = Change(shell, old=good, new=bad, config=fault, serves=good)
    status = badly.make()
    keep_promise(badly, status, phase="RolledBack")
    record = status["rollback"]
    _confirm(badly.total, f"{bad} was taken back {_soon(record['durationSeconds'])}")
    say(f"  why: {record['reason']} ({record['trigger']})")
    say(f"  The Agent still asks for {bad}; its condition Ready says why it has not got it.")
    return badly.name


class Change:
    """One change of the Agent under load: the upgrade that makes it, and the requests sent.

    `serves` is the version that should be left, and `alone` for how many seconds it was up to now.
    """

    def __init__(
        self,
        shell: Shell,
        *,
        old: str,
        new: str,
        config: Mapping[str, str | None],
        serves: str,
    ) -> None:
        self.old = old
        self.new = new
        self.serves = serves
        self.alone = 0
        self.name = ""
        self.total = Tally()
        self._shell = shell
        self._patch = json.dumps({"spec": {"version": new, "config": config}})

    def make(self) -> Status:
        """Change the Agent and print how it goes; returns the upgrade's last status."""
        command(f"kubectl -n {self._shell.namespace} {shlex.join(self._words)}")
        provider = find(Progress())
        timeline = Timeline(old=self.old, new=self.new)
        try:
            with tempfile.TemporaryDirectory() as directory:
                load = Load(
                    provider.gateway,
                    host=HOST,
                    rate=RATE,
                    directory=Path(directory),
                    enter=provider.enter,
                )
                with load:
                    return self._watch(load, timeline)
        finally:
            timeline.end()

    @property
    def _words(self) -> tuple[str, ...]:
        return ("patch", "agent", AGENT, "--type=merge", "-p", self._patch)

    def _watch(self, load: Load, timeline: Timeline) -> Status:
        began = time.monotonic()
        status: Status = {}
        second = end = 0
        while not end or (self.alone < ALONE and second < end + SETTLED):
            if second == BEFORE:
                self._begin()
            second += 1
            time.sleep(max(0.0, began + second - time.monotonic()))
            status = self._status()
            if not end and status.get("phase") in ENDED:
                end = second
            answers = load.new()
            self._count(timeline, second, status, answers)
            if end and answers:
                self.alone = self.alone + 1 if {a.by for a in answers} == {self.serves} else 0
            if not end and second > (LONGEST if status else NOTICED):
                raise DemoError(self._what_is_known(second, status))
        self._count(timeline, second, status, load.stop())
        return status

    def _begin(self) -> None:
        """Change the Agent; an upgrade is named after the generation of the spec."""
        self._shell.here(*self._words, quiet=True)
        self.name = f"{AGENT}-{self._shell.look(f'agent/{AGENT}', '.metadata.generation')}"

    def _status(self) -> Status:
        text = self._shell.look(f"agentupgrade/{self.name}", ".status") if self.name else ""
        status: Status = json.loads(text or "{}")
        return status

    def _count(
        self, timeline: Timeline, second: int, status: Status, answers: list[Answer]
    ) -> None:
        timeline.add(second, status, answers)
        self.total.add(answers)

    def _what_is_known(self, second: int, status: Status) -> str:
        if not status:
            return (
                f"no upgrade {self.name} after {second} s: is there a pod in namespace agentherd?"
            )
        return f"upgrade {self.name} has not ended after {second} s: {_messages(status)}"


def keep_promise(change: Change, status: Status, *, phase: str) -> None:
    """What the demo has said would happen; raises DemoError with all that did not."""
    broken = []
    if status.get("phase") != phase:
        broken.append(
            f"upgrade {change.name} is {status.get('phase')}, not {phase}: {_messages(status)}"
        )
    if change.total.failed:
        broken.append(f"{change.total}; {dict(change.total.errors)}")
    if strangers := set(change.total.by) - {change.old, change.new}:
        broken.append(f"requests were answered by {', '.join(sorted(strangers))}")
    if not change.total.by[change.new]:
        broken.append(f"{change.new} has had no requests")
    if change.alone < ALONE:
        broken.append(f"{change.serves} does not serve alone {SETTLED} s after the end")
    if broken:
        raise DemoError("\n  ".join(broken))


def next_version(version: str) -> str:
    """The next minor version."""
    major, minor, _ = version.split(".", 2)
    return f"{major}.{int(minor) + 1}.0"


def _confirm(*kept: object) -> None:
    say("")
    for promise in kept:
        say(f"{styled('✓', Style.GOOD)} {promise}")


def _config(version: str, *, fails_after: int | None) -> Mapping[str, str | None]:
    """A key without a value is removed, if it is there from an earlier change."""
    fault = None if fails_after is None else str(fails_after)
    return {"greeting": f"Hello from {version}", "probeFailAfterSeconds": fault}


def _rests(shell: Shell) -> bool:
    """Whether no upgrade is under way, as it is after a demo that was stopped in the middle."""
    name = shell.look(f"agent/{AGENT}", ".status.upgrade")
    return not name or shell.look(f"agentupgrade/{name}", ".status.phase") in {"", *ENDED}


def _messages(status: Status) -> str:
    said = {c["message"]: None for c in status.get("conditions", ()) if c.get("message")}
    return "; ".join(said)


def _took(status: Status) -> int:
    """Seconds from the beginning of an upgrade to its end."""
    began, ended = (datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt"))
    return round((ended - began).total_seconds())


def _soon(seconds: int) -> str:
    return f"{seconds} s after it was seen to fail" if seconds else "as soon as it was seen to fail"


def _version(gateway: str) -> str | None:
    """Which version answers, if any does."""
    answer = request(gateway, host=HOST)
    return None if answer is None else str(json.loads(answer)["version"])
