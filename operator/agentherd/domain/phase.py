"""The phase of an Agent: an ordered list of rules, of which the first that speaks decides.

A rule gets the facts and returns a verdict or None. What the order says: a write that the
server refuses is told before anything else; then what the person asked for; then what the pods
do. A phase never promises more than was seen: Offline and Suspended begin when the last pod is
gone, Online when every pod of the wanted revision is available.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import OperatingMode, Phase
from agentherd.domain.faults import Fault
from agentherd.domain.plan import Failure
from agentherd.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the phase depends on.

    `pods` counts pods that have not gone, terminating ones too, but no mere records. `settled` is
    true when the revision that is looked at already was the stable one. `upgrade` is what has to
    be said of an upgrade that runs, or has left the Agent behind its spec. `observed` is true when
    the spec as it stands has been seen before. `error` is the last error that was recorded, also
    one that is over.
    """

    mode: OperatingMode
    mode_reason: str | None
    wanted: int
    pods: int
    serving: int
    available: int
    complete: bool
    settled: bool
    observed: bool
    waiting_for: tuple[str, ...]
    fault: Fault | None
    failure: Failure | None
    error: Fault | None
    upgrade: Fault | None
    phase: Phase | None
    since: datetime | None
    deadline: timedelta
    now: datetime

    @property
    def deadline_at(self) -> datetime | None:
        """When a deployment that is under way, or an error, has lasted too long; None when neither
        does."""
        if self.upgrade is not None:
            return None  # an upgrade has a deadline of its own
        if self.phase not in {Phase.DEPLOYING, Phase.ERROR} or self.since is None:
            return None
        if self.waiting_for:
            return None
        return self.since + self.deadline

    @property
    def late(self) -> bool:
        """Whether it has."""
        return self.deadline_at is not None and self.now >= self.deadline_at


@dataclass(frozen=True, slots=True)
class Verdict:
    """A phase and why; `done` when the Agent is as its spec wants it."""

    phase: Phase
    reason: Reason
    message: str
    done: bool = False


Rule = Callable[[Facts], Verdict | None]

MAINTENANCE_REASON: Final = "Scheduled maintenance"


def judge(facts: Facts) -> Verdict:
    """The verdict of the first rule that has one."""
    for rule in RULES:
        if verdict := rule(facts):
            return verdict
    raise AssertionError("the last rule always speaks")


def refused(facts: Facts) -> Verdict | None:
    """A write that the server refuses stops everything until the spec or the reason changes."""
    if facts.failure is None:
        return None
    return Verdict(Phase.ERROR, facts.failure.reason, facts.failure.message)


def stopped(facts: Facts) -> Verdict | None:
    """Suspended and Offline: reached when the last pod is gone."""
    if facts.mode is OperatingMode.SUSPENDED:
        phase, reason = Phase.SUSPENDED, Reason.SUSPENDED
    elif facts.mode is OperatingMode.OFFLINE:
        phase, reason = Phase.OFFLINE, Reason.OFFLINE
    else:
        return None
    if facts.pods and facts.phase is not None and facts.phase is not phase:
        return Verdict(facts.phase, Reason.DRAINING, f"{_count(facts.pods)} still to finish")
    return Verdict(phase, reason, facts.mode_reason or f"operatingMode is {facts.mode}", done=True)


def in_maintenance(facts: Facts) -> Verdict | None:
    """Pods run, nothing is sent to them."""
    if facts.mode is not OperatingMode.MAINTENANCE:
        return None
    reason = facts.mode_reason or MAINTENANCE_REASON
    return Verdict(Phase.MAINTENANCE, Reason.MAINTENANCE, reason, done=True)


def waiting(facts: Facts) -> Verdict | None:
    """An Agent that never ran waits for those it depends on."""
    if not facts.waiting_for:
        return None
    names = ", ".join(facts.waiting_for)
    return Verdict(
        Phase.DEPLOYING,
        Reason.WAITING_FOR_DEPENDENCIES,
        f"waits until available: {names}",
    )


def scaled_to_zero(facts: Facts) -> Verdict | None:
    """Running with no replicas wanted: nothing to do, and ready to be scaled up."""
    if facts.wanted:
        return None
    return Verdict(Phase.IDLE, Reason.SCALED_TO_ZERO, "spec.replicas is 0", done=True)


def upgrading(facts: Facts) -> Verdict | None:
    """While the old version serves, an upgrade is not the Agent's trouble, but it is told."""
    if facts.upgrade is None or not facts.serving:
        return None
    held = facts.upgrade.reason is not Reason.ROLLING_OUT
    if held and not facts.complete:
        return None
    phase = Phase.ONLINE if held else Phase.DEPLOYING
    return Verdict(phase, facts.upgrade.reason, facts.upgrade.message)


def complete(facts: Facts) -> Verdict | None:
    """Every pod of the wanted revision is available."""
    if not facts.complete:
        return None
    return Verdict(
        Phase.ONLINE, Reason.ALL_AVAILABLE, f"{_count(facts.available)} available", done=True
    )


def faulty(facts: Facts) -> Verdict | None:
    """A fault of a pod. While others of the same revision serve, the Agent stays Online."""
    if facts.fault is None:
        return None
    message = facts.fault.message
    if facts.settled and facts.serving:
        share = f"{facts.serving} of {_count(facts.wanted)} available: {message}"
        return Verdict(Phase.ONLINE, facts.fault.reason, share)
    if facts.serving:
        message += f"; {_count(facts.serving)} of the previous revision still available"
    return Verdict(Phase.ERROR, facts.fault.reason, message)


def failed_before(facts: Facts) -> Verdict | None:
    """An error lasts until the Agent is available or its spec changes.

    A pod that crashes is running again for a moment after each restart; that is no recovery.
    """
    if facts.phase is not Phase.ERROR or not facts.observed or facts.error is None:
        return None
    if facts.settled and facts.serving:
        return None
    return Verdict(Phase.ERROR, facts.error.reason, facts.error.message)


def too_slow(facts: Facts) -> Verdict | None:
    """Past the progress deadline a deployment counts as failed; it goes on trying."""
    if facts.phase is not Phase.DEPLOYING or not facts.late:
        return None
    seconds = round(facts.deadline.total_seconds())
    return Verdict(
        Phase.ERROR,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        f"{facts.available} of {_count(facts.wanted)} available after {seconds} s",
    )


def under_way(facts: Facts) -> Verdict | None:
    """Pods are starting."""
    share = f"{facts.available} of {_count(facts.wanted)} available"
    if facts.settled and facts.serving:
        return Verdict(Phase.ONLINE, Reason.SCALING, share)
    if facts.settled:
        return Verdict(Phase.DEPLOYING, Reason.REPLACING_PODS, share)
    if facts.serving:
        return Verdict(
            Phase.DEPLOYING, Reason.ROLLING_OUT, f"{share}; the previous revision serves"
        )
    return Verdict(Phase.DEPLOYING, Reason.STARTING, share)


RULES: Final[tuple[Rule, ...]] = (
    refused,
    stopped,
    in_maintenance,
    waiting,
    scaled_to_zero,
    upgrading,
    complete,
    faulty,
    failed_before,
    too_slow,
    under_way,
)


def _count(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"
