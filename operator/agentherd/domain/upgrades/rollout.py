"""How many pods each revision has, before any of them is drained.

The stable revision always has all that are wanted, so it can take everything back at any moment;
what an upgrade gives the new one comes on top. An Agent that has never been available has nothing
to protect: its first revision simply starts, and one that never served goes when the spec moves on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from agentherd.api import AgentUpgradeStatus, StrategyType, UpgradePhase
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.upgrades.strategy import Course, canary_size, rolling_sizes
from agentherd.domain.views import ReplicaSetView


def first_sizes(*, target: str, wanted: int, sets: Collection[ReplicaSetView]) -> Mapping[str, int]:
    """The sizes while no revision is known to be stable.

    What serves of other revisions is kept until the target is there; what never served goes. That
    is an Agent that is new, or whose status was lost.
    """
    views = {view.revision: view for view in sets}
    there = is_complete(views.get(target), wanted)
    sizes = {
        revision: 0 if there or not wanted else min(view.wanted, view.available)
        for revision, view in views.items()
    }
    return {**sizes, target: wanted}


def upgrade_sizes(
    *,
    stable: str,
    wanted: int,
    status: AgentUpgradeStatus | None,
    course: Course | None,
    by_gateway: bool,
    sets: Collection[ReplicaSetView],
    now: datetime,
) -> Mapping[str, int]:
    """The sizes of an Agent with a stable revision, and the upgrade that governs it, if any."""
    views = {view.revision: view for view in sets}
    sizes = dict.fromkeys(views, 0) | {stable: wanted}
    if status is None or course is None or not wanted:
        return sizes
    other = status.to_revision if status.to_revision != stable else status.from_revision
    if other is None or other == stable:
        return sizes
    there = views[other].wanted if other in views else 0
    match status.phase:
        case _ if status.phase in MOVING and status.to_revision == stable:
            sizes[other] = min(there, wanted)  # it has taken over just now
        case UpgradePhase.PROGRESSING | UpgradePhase.PAUSED | UpgradePhase.PROMOTING:
            if course.type is StrategyType.ROLLING_UPDATE and status.steps == 0:
                sizes[stable], sizes[other] = _one_by_one(
                    views.get(stable),
                    views.get(other),
                    wanted=wanted,
                    max_surge=course.max_surge,
                    paused=status.phase is UpgradePhase.PAUSED,
                )
            elif status.step and course.steps and status.phase is not UpgradePhase.PROMOTING:
                step = course.steps[min(status.step, len(course.steps)) - 1]
                sizes[other] = canary_size(step, wanted=wanted, by_gateway=by_gateway)
            else:
                sizes[other] = wanted
        case UpgradePhase.ROLLING_BACK:
            undoes = status.to_revision == stable
            sizes[other] = wanted if undoes else min(there, wanted)
        case UpgradePhase.SUCCEEDED | UpgradePhase.ROLLED_BACK:
            ends = kept_until(status, course)
            sizes[other] = min(there, wanted) if ends is not None and now < ends else 0
    return sizes


def _one_by_one(
    old: ReplicaSetView | None,
    new: ReplicaSetView | None,
    *,
    wanted: int,
    max_surge: int | str,
    paused: bool,
) -> tuple[int, int]:
    """The sizes of both versions while the pods of one are replaced by those of the other.

    One of the old version stays until the new one has taken over, so that there always is somebody
    to whom requests can go back.
    """
    there, available = (new.wanted, new.available) if new is not None else (0, 0)
    last = min(1, old.wanted) if old is not None else 0
    if paused:
        kept = min(there, wanted)
        # Who has paused it is not to lose pods for those that have not come yet.
        missing = wanted - min(kept, available)
        return max(wanted - kept, min(_lasting(old), missing), last), kept
    if not there and (old is None or old.wanted < wanted):
        return wanted, 0  # an Agent that was stopped wakes up with what has proved itself
    left, given = rolling_sizes(
        wanted=wanted,
        old_size=_lasting(old),
        new_size=there,
        new_available=available,
        max_surge=max_surge,
    )
    return max(left, last), given


def kept_until(status: AgentUpgradeStatus, course: Course) -> datetime | None:
    """Until when the version that lost keeps its pods; None while nothing has ended."""
    if status.finished_at is None:
        return None
    succeeded = status.phase is UpgradePhase.SUCCEEDED
    delay = course.scale_down_delay if succeeded else course.abort_scale_down_delay
    return status.finished_at + delay


def is_complete(view: ReplicaSetView | None, wanted: int) -> bool:
    """Whether a revision has exactly the pods that are wanted, all of them available."""
    return view is not None and view.current and view.wanted == wanted and view.available >= wanted


def _lasting(view: ReplicaSetView | None) -> int:
    """The pods there are and are to be: those that still drain take a place as well."""
    return max(view.wanted, view.replicas) if view is not None else 0
