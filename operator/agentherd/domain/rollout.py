"""How many pods each revision has: a new revision first surges to full size, then the old one goes.

The old revision keeps serving until the new one is available in full, so a version that never
starts costs nothing but the attempt. What is neither old nor new any more, because the spec
moved on in between, goes at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentherd.domain.views import ReplicaSetView


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Replicas per revision, and whether the target is all there is and all there.

    `sizes` holds every revision that has a ReplicaSet and the target, which may have none yet.
    `serving` counts available pods of any revision, `available` those of the target.
    """

    sizes: Mapping[str, int]
    complete: bool
    serving: int
    available: int


def roll_out(
    *, target: str, stable: str | None, wanted: int, sets: Collection[ReplicaSetView]
) -> Rollout:
    """Decide the size of every revision.

    Without a known `stable` revision (nothing has become available yet, or the status was lost)
    what serves of the other revisions is kept until the target is there; what never served goes.
    """
    views = {view.revision: view for view in sets}
    new = views.get(target)
    complete = new is not None and new.current and new.wanted == wanted and new.available >= wanted
    sizes = {target: wanted}
    for revision, view in views.items():
        if revision == target:
            continue
        if complete or wanted == 0:
            sizes[revision] = 0
        elif revision == stable:
            sizes[revision] = wanted if view.wanted else 0
        elif stable in views:
            sizes[revision] = 0
        else:
            sizes[revision] = min(view.wanted, view.available)
    return Rollout(
        sizes=sizes,
        complete=complete,
        serving=sum(view.available for view in views.values()),
        available=new.available if new else 0,
    )
