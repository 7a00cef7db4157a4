"""What is known of the warm-up of a pod: what it tells itself, and what it has answered.

A pod with the readiness gate `agentherd.dev/warm` is not ready before the condition of that type is
true. The condition is all that is remembered of a warm-up: which request it was, how often it has
failed, and for which start of the containers that holds, since one that is started again is as cold
as a new one. So a process that is started later goes on where another one was killed.

Starts are told apart by the names that the container runtime gives; times are of several clocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from sys import intern
from typing import Any, Final, Self

from agentherd.domain.faults import Fault
from agentherd.domain.reasons import Reason

WARM: Final = "agentherd.dev/warm"
"""Type of the pod condition that tells that a pod has answered its warm-up request."""

_MESSAGE: Final = re.compile(
    r"(?P<said>.*?)"
    r"(, failure (?P<failures>\d{1,3}) of (?P<threshold>\d{1,3}))?"
    r"( \[start (?P<start>[0-9a-f]{10})\])?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpRequest:
    """What a pod is asked, for one `start` of its containers: POST with a body, else GET.

    An answer has to be there within `timeout` seconds. `failures` are those in a row that are
    known already.
    """

    uid: str
    start: str
    url: str
    body: str | None
    content_type: str
    timeout: float
    failures: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpAnswer:
    """What came of the latest request, as the end of a sentence, and failures in a row till then.

    That nobody has listened is none of them: a server that loads its model before it listens is on
    its way, and how long that may take is for the deadline of progress to say.
    """

    start: str
    said: str
    failures: int = 0
    listened: bool = True

    @property
    def warm(self) -> bool:
        """Whether it was answered as wished."""
        return self.listened and not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the condition of a pod tells: what was `said`, for which start, "" when that is unknown.

    `failures` are those in a row up to `threshold`, where the warm-up has failed. `since` is the
    time at which the status became what it is, and `at` that at which the rest was told, both as
    they stand in the object.
    """

    warm: bool
    said: str
    start: str = ""
    failed: bool = False
    failures: int = 0
    threshold: int = 0
    since: str = field(default="", compare=False)
    at: str = field(default="", compare=False)

    @classmethod
    def of(cls, condition: Mapping[str, Any]) -> Self:
        """Read a condition, whoever has written it."""
        found = _MESSAGE.fullmatch(condition.get("message") or "")
        part = found.groupdict(default="") if found else {}
        return cls(
            warm=condition.get("status") == "True",
            said=part.get("said", ""),
            start=part.get("start", ""),
            failed=condition.get("reason") == Reason.WARM_UP_FAILED,
            failures=int(part.get("failures") or 0),
            threshold=int(part.get("threshold") or 0),
            since=condition.get("lastTransitionTime") or "",
            at=condition.get("lastProbeTime") or "",
        )

    def condition(self) -> dict[str, str]:
        """The condition that tells this."""
        counted = f", failure {self.failures} of {self.threshold}" if self.failures else ""
        start = f" [start {self.start}]" if self.start else ""
        return {
            "type": WARM,
            "status": "True" if self.warm else "False",
            "reason": self._reason,
            "message": f"{self.said}{counted}{start}",
            "lastTransitionTime": self.since,
            "lastProbeTime": self.at,
        }

    @property
    def _reason(self) -> Reason:
        if self.warm:
            return Reason.WARM
        return Reason.WARM_UP_FAILED if self.failed else Reason.WARMING_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What a pod that has to be warmed up tells of it.

    `start` names its containers as they run now, "" while the kubelet has told nothing of them,
    and `ready` says that all of them are. `told` is what the condition says, None before there is
    one. `ports` are those of the first container, each with its name, "" without one.
    """

    start: str
    ready: bool
    told: Told | None = None
    ports: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> Self | None:
        """Read a pod as the API server gives it; None of one without the readiness gate."""
        gates = pod.get("spec", {}).get("readinessGates") or ()
        if not any(gate.get("conditionType") == WARM for gate in gates):
            return None
        status = pod.get("status", {})
        conditions = {each["type"]: each for each in status.get("conditions", ())}
        return cls(
            start=_start(status.get("containerStatuses", ())),
            ready=conditions.get("ContainersReady", {}).get("status") == "True",
            told=Told.of(conditions[WARM]) if WARM in conditions else None,
            ports=_ports(pod["spec"].get("containers") or ()),
        )

    def port(self, wanted: int | str | None) -> int | None:
        """The number of the port that is `wanted`, the first one where none is."""
        if isinstance(wanted, int):
            return wanted
        return next((number for name, number in self.ports if wanted in {None, name}), None)

    @property
    def warm(self) -> bool:
        """Whether the pod is warm, as its containers run now.

        One of which no start is told is believed: somebody has said so by hand.
        """
        return self.told is not None and self.told.warm and not self._is_past(self.told)

    @property
    def cold_again(self) -> bool:
        """Whether the pod counts as warm although containers were started again since then."""
        return self.told is not None and self.told.warm and self._is_past(self.told)

    @property
    def present(self) -> Told | None:
        """What is told of the containers as they run now."""
        return None if self.told is None or self._is_past(self.told) else self.told

    @property
    def reported(self) -> tuple[object, ...]:
        """What the kubelet says."""
        return (self.start, self.ready)

    def fault(self, pod: str) -> Fault | None:
        """The fault of a pod of this name whose warm-up has failed."""
        told = self.present
        if told is None or told.warm or not told.failed:
            return None
        times = f", {told.failures} times in a row" if told.failures > 1 else ""
        message = f"pod {pod}: warm-up request {told.said}{times}"
        return Fault(Reason.WARM_UP_FAILED, message, _time(told.at))

    def _is_past(self, told: Told) -> bool:
        return bool(self.start and told.start) and told.start != self.start


def _start(containers: Any) -> str:
    """A name of these containers as they run; one that does not run is unlike any that does."""
    running = [
        (each["name"], each.get("containerID", "") if "running" in each.get("state", {}) else "-")
        for each in containers
    ]
    return blake2b(repr(sorted(running)).encode(), digest_size=5).hexdigest() if running else ""


def _ports(containers: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    ports = containers[0].get("ports") or () if containers else ()
    return tuple((intern(port.get("name", "")), port["containerPort"]) for port in ports)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
