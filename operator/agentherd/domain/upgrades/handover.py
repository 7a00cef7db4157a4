"""A version that takes over at another port: what changes one after the other, and when.

A route and a Service are two objects, and whoever passes requests on may learn of either first. So
while one of them changes the other has to be right before and after. Each of these lasts a time to
settle:

1. The route sends to the Service of the new version alone; that of the Agent stays as it was.
2. The Service of the Agent has the new port, and nobody is sent there yet.
3. The route sends to the Service of the Agent; that of the new version is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import StrategyType, UpgradePhase
from agentherd.domain.observation import AgentObservation
from agentherd.domain.revision import Revision
from agentherd.domain.routing.ports import served_port
from agentherd.domain.routing.traffic import Split
from agentherd.domain.upgrades.run import Run

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A stage on the way, and when it ends.

    `before` is the version whose ports and pods the Service of the Agent still has, if any; with
    `routed` the route sends to the Service of the version that has taken over.
    """

    until: datetime
    before: Revision | None = None
    routed: bool = True

    def split(self, seen: AgentObservation, split: Split) -> Split:
        """The split, in which the stable version has the place of a new one."""
        serving = split.stable
        ready = next((v.ready for v in seen.sets() if v.revision == serving.hash), 0)
        return replace(
            split,
            canary=serving,
            weight=100,
            before=self.before,
            routed=self.routed,
            preview=True,
            stable_ready=ready,
            canary_ready=ready,
        )

    def sizes(self, seen: AgentObservation, sizes: Mapping[str, int]) -> Mapping[str, int]:
        """The sizes, in which those whom the Agent's Service leads to stay as long as it does."""
        if self.before is None or not seen.wanted:
            return sizes
        there = {view.revision: view.wanted for view in seen.sets()}.get(self.before.hash, 0)
        return {**sizes, self.before.hash: max(there, sizes.get(self.before.hash, 0))}


def handover(
    seen: AgentObservation, under_way: Run, *, settle: timedelta, now: datetime
) -> Handover | None:
    """How far a version is on its way to another port; None where it does not, or not any more.

    `settle` is the time in which whoever passes requests on has followed a change.
    """
    traffic, status, before = seen.agent.spec.traffic, under_way.status, under_way.old
    if traffic is None or traffic.route_ref is not None or before is None:
        return None
    by_pod = under_way.course.type is StrategyType.ROLLING_UPDATE
    if under_way.serving != status.to_revision or by_pod:
        return None
    if served_port(traffic, before) == served_port(traffic, under_way.new):
        return None
    if status.phase is UpgradePhase.PROMOTING:
        return Handover(until=now + settle, before=before)
    if status.phase is not UpgradePhase.SUCCEEDED or status.finished_at is None:
        return None
    # The end is kept in whole seconds, and is up to one of them later than it says.
    begin, lasts = status.finished_at + _SECOND, max(settle, _SECOND)
    stages = (
        Handover(until=begin + lasts, before=before),
        Handover(until=begin + 2 * lasts),
        Handover(until=begin + 3 * lasts, routed=False),
    )
    return next((stage for stage in stages if now < stage.until), None)
