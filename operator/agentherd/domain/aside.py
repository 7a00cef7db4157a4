"""Agents about which nothing is decided: those that are not managed, not understood, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agentherd.api import UpgradePhase
from agentherd.domain.conditions import not_understood, unmanaged
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.plan import Intent, Ref, WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.routing.traffic import restored
from agentherd.domain.status import write_status
from agentherd.domain.upgrades.change import (
    Objection,
    is_running,
)
from agentherd.domain.upgrades.status import (
    superseded_status,
    waiting_status,
    write_upgrade_status,
)


def hands_off(seen: AgentObservation, now: datetime) -> Iterator[WriteStatus]:
    """Say why nothing is done, and do nothing."""
    before, generation = seen.agent.status, seen.generation
    if seen.unreadable.startswith("status"):
        return  # what a newer operator has noted there would be gone
    if seen.unreadable:
        told = not_understood(before.conditions, seen.unreadable, generation=generation, now=now)
    else:
        told = unmanaged(before.conditions, generation=generation, now=now)
    after = before.model_copy(update={"conditions": told, "observed_generation": generation})
    write = write_status(seen, after)
    if write is not None:
        yield write


def without_agent(seen: Leftovers, now: datetime) -> Iterator[Intent]:
    """Tell the upgrades of an Agent that does not exist, and free the routes it has left."""
    for (kind, _), view in seen.routes.items():
        if seen.key.name in view.canaries(seen.kind.name):
            yield restored(kind, view, Ref(seen.kind.name, seen.key.name))
    for each in seen.upgrades.values():
        if is_running(each.upgrade):
            gone = f"{seen.kind.name} {seen.key.name} was deleted"
            after = superseded_status(each, gone, now=now)
        elif each.upgrade.status.phase in {None, UpgradePhase.PENDING}:
            missing = f"there is no {seen.kind.name} {seen.key.name} in this namespace"
            after = waiting_status(each, Objection(Reason.TARGET_NOT_FOUND, missing), now=now)
        else:
            continue
        if write := write_upgrade_status(each.upgrade, after):
            yield write
