"""Pods of a version that was superseded while it replaced the stable one pod by pod.

A replacement takes pods away from the stable version, and what supersedes it starts from there. The
pods that are missing are made again, which takes its time; until then those of the superseded
version do their work. They have been trusted with it so far: one that had failed would have been
rolled back. That they may still be sent requests is told by the Service of the Agent; once that
sends to the stable version alone, they are not taken in again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from agentherd.api import AgentUpgrade, StrategyType, UpgradePhase
from agentherd.domain.observation import AgentObservation
from agentherd.domain.revision import Revision
from agentherd.domain.routing.traffic import is_shared
from agentherd.domain.upgrades.change import Choice
from agentherd.domain.upgrades.run import Run
from agentherd.domain.views import PodView


def stand_in_sizes(
    seen: AgentObservation, choice: Choice, under_way: Run | None, serving: Revision
) -> Mapping[str, int]:
    """How many pods of superseded versions stay for those that the stable one has not yet.

    None as soon as others are ready that the Service must not send to, such as a canary.
    """
    if under_way is not None and not under_way.moving:
        return {}
    superseded = set(_replacing(seen, choice, stable=serving.hash))
    takes_part = {serving.hash}
    if under_way is not None and under_way.rolls:
        takes_part.add(under_way.new.hash)
        superseded.discard(under_way.new.hash)
    if not superseded or (seen.services and not is_shared(seen, serving)):
        return {}
    serves = Counter(p.revision for p in seen.pods.values() if _is_sent_requests(p))
    if serves.keys() - superseded - takes_part:
        return {}
    missing = seen.wanted - sum(serves[revision] for revision in takes_part)
    sizes: dict[str, int] = {}
    for view in sorted(seen.sets(), key=lambda view: view.revision):
        if view.revision in superseded:
            sizes[view.revision] = max(0, min(view.wanted, serves[view.revision], missing))
            missing -= sizes[view.revision]
    return {revision: size for revision, size in sizes.items() if size}


def _is_sent_requests(pod: PodView) -> bool:
    return pod.ready and pod.in_traffic and not pod.deleting


def _replacing(seen: AgentObservation, choice: Choice, *, stable: str) -> Iterator[str]:
    """The revisions of which the latest upgrade was superseded while it replaced pod by pod."""
    begun = [each.upgrade for each in seen.upgrades.values() if each.upgrade.status.started_at]
    latest = {u.status.to_revision: u for u in sorted(begun, key=_started)}
    for revision, upgrade in latest.items():
        status = upgrade.status
        ends_now = upgrade.metadata.name in choice.superseded
        over = ends_now or status.phase is UpgradePhase.SUPERSEDED
        by_pod = status.strategy and status.strategy.type is StrategyType.ROLLING_UPDATE
        if revision and over and by_pod and status.from_revision == stable != revision:
            yield revision


def _started(upgrade: AgentUpgrade) -> str:
    return str(upgrade.status.started_at)
