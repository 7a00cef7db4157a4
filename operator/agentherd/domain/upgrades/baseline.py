"""Fresh pods of the stable version, where a new one is to be compared with its like.

Pods that have served for days are warm, and more of them share the requests than of the new
version. Who wants neither to count asks for as many fresh pods of the stable version as the new one
has, for the time in which both are compared. They are stable pods like any other to whoever sends
requests, and additional ones: no size of either version depends on them, and nothing waits for them
but the verdict. They stay beyond it only while the stable version has no other pod that answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentherd.api import UpgradePhase
from agentherd.api.analysis import Baseline
from agentherd.domain.observation import AgentObservation
from agentherd.domain.upgrades.run import Run, fresh_serving

_COMPARED = frozenset({UpgradePhase.PROGRESSING, UpgradePhase.PAUSED})
_ALL: Final = 100


def fresh_sizes(
    seen: AgentObservation, under_way: Run | None, sizes: Mapping[str, int], *, stable: str | None
) -> Mapping[str, int]:
    """The size of the baseline by its revision, and none at all while nothing is compared.

    `sizes` are those of the versions, and `stable` the revision that is stable from now on. It
    starts with the pods of the first step that is to get requests, and ends with the last step.
    """
    if stable is None or not sizes.get(stable):
        return {}
    size = max(_compared(seen, under_way, sizes), _needed(seen, stable))
    return {stable: size} if size else {}


def _compared(seen: AgentObservation, under_way: Run | None, sizes: Mapping[str, int]) -> int:
    """As many as the new version has, while both are compared.

    Nobody compares where pods tell nothing, or the stable version gets no requests.

    They come after its pods, of which there may be no room for both: a new version that found none
    would be late, and go back. What has come stays while one of its pods is not available.
    """
    if under_way is None or not under_way.moving or under_way.old is None:
        return 0
    if seen.agent.spec.metrics is None:
        return 0
    status, steps = under_way.status, under_way.course.steps
    at_a_step = status.phase in _COMPARED and 0 < status.step <= len(steps)
    if not at_a_step or not 0 < steps[status.step - 1].weight < _ALL:
        return 0
    analysis = status.strategy.analysis if status.strategy is not None else None
    if analysis is None or analysis.baseline is not Baseline.FRESH:
        return 0
    available = sum(v.available for v in seen.sets() if v.revision == under_way.new.hash)
    present = sum(view.wanted for view in seen.baselines() if view.revision == under_way.serving)
    return min(sizes.get(under_way.new.hash, 0), max(available, present))


def _needed(seen: AgentObservation, stable: str) -> int:
    """As many as answer requests that no other pod of the stable version could answer now."""
    if any(view.available for view in seen.sets() if view.revision == stable):
        return 0
    wanted = sum(view.wanted for view in seen.baselines() if view.revision == stable)
    return min(wanted, fresh_serving(seen, stable))
