"""Something is changed while it is asked again and again, and what became of that.

Whatever has versions is changed in the same way, by a patch of its spec, of which an AgentUpgrade
comes. What is promised is checked by who calls this: how it ends, who serves then, that both
versions have had requests, and that none is lost.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from devcluster.progress import Progress
from devcluster.providers import find
from examples.demo.load import Answer, Load
from examples.demo.shell import DemoError, Request, Shell, wait_for
from examples.demo.terminal import Style, command, say, styled
from examples.demo.timeline import Tally, Timeline

BEFORE: Final = 2
"""Seconds for which it is watched before a change."""

ALONE: Final = 3
SETTLED: Final = 20
"""After a change, one version has to be the only one to answer for so many seconds in a row; the
second is when it is too late for that: the Gateway of a busy machine takes a while to follow."""

NOTICED: Final = 30
LONGEST: Final = 150
"""Seconds within which a change has to be noticed, and to end."""

ENDED: Final = frozenset({"Succeeded", "RolledBack", "Superseded"})

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is changed, and the request that it gets meanwhile, `rate` times a second."""

    kind: str
    """As kubectl takes it, for example `agent`."""

    name: str
    request: Request
    rate: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Change:
    """One change under load: the upgrade that makes it, and the requests sent.

    `spec` is what is changed of the subject's, `serves` the version that should be left, and
    `alone` for how many seconds it was up to now.
    """

    def __init__(
        self,
        shell: Shell,
        subject: Subject,
        *,
        old: str,
        new: str,
        spec: Mapping[str, object],
        serves: str,
    ) -> None:
        self.old = old
        self.new = new
        self.serves = serves
        self.alone = 0
        self.name = ""
        self.total = Tally()
        self._shell = shell
        self._subject = subject
        self._patch = json.dumps({"spec": spec})

    def make(self) -> Status:
        """Make the change and print how it goes; returns the upgrade's last status."""
        command(f"kubectl -n {self._shell.namespace} {shlex.join(self._words)}")
        provider = find(Progress())
        timeline = Timeline(old=self.old, new=self.new)
        try:
            with tempfile.TemporaryDirectory() as directory:
                load = Load(
                    provider.gateway,
                    self._subject.request,
                    rate=self._subject.rate,
                    directory=Path(directory),
                    enter=provider.enter,
                )
                with load:
                    return self._watch(load, timeline)
        finally:
            timeline.end()

    @property
    def _words(self) -> tuple[str, ...]:
        subject = self._subject
        return ("patch", subject.kind, subject.name, "--type=merge", "-p", self._patch)

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
        """Make the change; an upgrade is named after the generation of the spec."""
        self._shell.here(*self._words, quiet=True)
        generation = self._shell.look(f"{self._subject}", ".metadata.generation")
        self.name = f"{self._subject.name}-{generation}"

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


def wait_until_it_rests(shell: Shell, subject: Subject) -> None:
    """Wait for the end of what is under way, as after a demo that was stopped in the middle."""
    wait_for(f"the last upgrade of {subject} to end", lambda: _rests(shell, subject) or None)
    shell.here("wait", "--for=condition=Available", str(subject), "--timeout=90s", quiet=True)


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


def confirm(*kept: object) -> None:
    """Print the promises that were kept."""
    say("")
    for promise in kept:
        say(f"{styled('✓', Style.GOOD)} {promise}")


def took(status: Status) -> int:
    """Seconds from the beginning of an upgrade to its end."""
    began, ended = (datetime.fromisoformat(status[key]) for key in ("startedAt", "finishedAt"))
    return round((ended - began).total_seconds())


def _rests(shell: Shell, subject: Subject) -> bool:
    name = shell.look(str(subject), ".status.upgrade")
    return not name or shell.look(f"agentupgrade/{name}", ".status.phase") in {"", *ENDED}


def _messages(status: Status) -> str:
    said = {c["message"]: None for c in status.get("conditions", ()) if c.get("message")}
    return "; ".join(said)
