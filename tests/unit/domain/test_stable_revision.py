"""Which revision is stable is decided in one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, pod_view
from tests.unit.domain.runs import (
    CRASH,
    NEW,
    NO_NODE,
    OLD,
    ROLLBACK,
    begun,
    found,
    pods,
    refused,
    seen_with,
    sets,
)

from agentherd.api import UpgradePhase
from agentherd.domain.decide import decide
from agentherd.domain.faults import Fault
from agentherd.domain.observation import SeenUpgrade
from agentherd.domain.plan import Merge
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.run import stable_by_itself
from agentherd.domain.upgrades.way_back import PATIENCE

NO_ROUTE = Fault(Reason.ROUTE_NOT_FOUND, "HTTPRoute greeter does not exist")


@pytest.mark.parametrize(
    ("stable", "complete", "wanted", "upgraded", "after"),
    [
        (None, True, 2, False, "new"),
        (None, False, 2, False, None),
        (None, True, 0, False, None),
        (None, True, 2, True, "new"),
        ("old", True, 2, False, "old"),
        ("old", False, 0, False, "new"),
        ("old", False, 0, True, "old"),
    ],
    ids=[
        "first",
        "not yet",
        "no pods",
        "whatever its upgrades",
        "left to an upgrade",
        "nobody served",
        "upgrade waits",
    ],
)
def test_a_revision_becomes_stable_by_itself_when_it_has_proved_itself(
    stable: str | None, *, complete: bool, wanted: int, upgraded: bool, after: str | None
) -> None:
    """Without pods nothing proves itself, unless another revision has before."""
    found = stable_by_itself(
        stable, asked="new", complete=complete, wanted=wanted, upgraded=upgraded
    )

    assert found == after


@pytest.mark.parametrize(
    ("fields", "context", "taken"),
    [
        ({}, {}, True),
        ({"replica_sets": sets(new={"available": 1})}, {}, False),
        ({"replica_sets": sets(new={"current": False})}, {}, False),
        ({"replica_sets": {}}, {}, False),
        ({"operatingMode": "Offline"}, {}, False),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=NO_NODE))}, {}, False),
        ({"pods": pods(pod_view("p", revision=NEW.hash, fault=CRASH))}, {}, False),
        ({"failures": refused("ReplicaSet", Reason.INVALID_TEMPLATE)}, {}, False),
        ({}, {"obstacle": NO_ROUTE}, False),
    ],
    ids=[
        "all there",
        "one is missing",
        "not seen yet",
        "no pods known",
        "stopped",
        "a fault that may pass",
        "a fault",
        "refused",
        "the route",
    ],
)
def test_the_new_version_takes_over_when_all_its_pods_are_there(
    fields: dict[str, Any], context: dict[str, Any], taken: bool
) -> None:
    """And nothing speaks against it."""
    result = found(seen_with(begun("Promoting", status={"step": 3}), **fields), **context)

    assert result.serving == (NEW.hash if taken else OLD.hash)
    assert not taken or result.move.wake_at == NOON


@pytest.mark.parametrize("spec", [{"paused": True}, {"rollback": {"requested": True}}])
def test_people_keep_the_new_version_from_taking_over(spec: dict[str, Any]) -> None:
    """To the last moment."""
    assert found(seen_with(begun("Promoting"))).serving == NEW.hash
    assert found(seen_with(begun("Promoting", **spec))).serving == OLD.hash


@pytest.mark.parametrize("phase", ["Progressing", "Paused", "Succeeded", "RolledBack"])
def test_no_other_phase_changes_what_is_stable(phase: str) -> None:
    """There is one place for it."""
    assert found(seen_with(begun(phase))).serving == OLD.hash


@pytest.mark.parametrize(
    ("fields", "old", "back"),
    [
        ({}, OLD, True),
        ({"replica_sets": sets(old={"available": 1})}, OLD, False),
        ({"replica_sets": sets(old={"wanted": 0})}, OLD, False),
        ({}, None, False),
    ],
    ids=["all there", "one is missing", "still to be started", "nothing is known of it"],
)
def test_the_old_version_is_stable_again_when_all_its_pods_are_there(
    fields: dict[str, Any], old: Any, back: bool
) -> None:
    """After a rollback of what had succeeded."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})

    result = found(seen_with(one, stable=NEW.hash, **fields), old=old)

    assert result.serving == (OLD.hash if back else NEW.hash)


@pytest.mark.parametrize(
    ("available", "seconds", "back"),
    [(1, 9, False), (1, 10, True), (0, 3600, False)],
    ids=["still waited for", "waited for long enough", "none at all"],
)
def test_one_old_pod_that_never_gets_ready_keeps_nobody_at_the_new_version(
    available: int, seconds: int, back: bool
) -> None:
    """After ten seconds those that are there take over; that does not make it turn in circles."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})
    there = sets(old={"available": available})
    now = NOON + timedelta(seconds=seconds)

    result = found(seen_with(one, stable=NEW.hash, replica_sets=there), now=now)

    assert result.serving == (OLD.hash if back else NEW.hash)
    if not back:
        assert result.move.wake_at == (NOON + PATIENCE if seconds < 10 else None)


@pytest.mark.parametrize(
    ("one", "stable", "to"),
    [
        (begun("Promoting"), OLD, NEW),
        (begun("RollingBack", status={"rollback": ROLLBACK}), NEW, OLD),
    ],
    ids=["taken over", "undone"],
)
def test_nobody_takes_over_with_pods_that_are_out_of_traffic(
    one: SeenUpgrade, stable: Any, to: Any
) -> None:
    """As those of who was on its way out, where the process was killed before it brought them back.

    They are brought back first, and looked at again.
    """
    ready = [pod_view(f"a-{n}", revision=to.hash, in_traffic=False) for n in (1, 2)]
    back = [replace(pod, in_traffic=True) for pod in ready]
    away = seen_with(one, stable=stable.hash, pods=pods(*ready), metrics={})

    plan = decide(away, NOON)

    assert found(away).serving == stable.hash
    assert found(replace(away, pods=pods(*back))).serving == to.hash
    assert {i.name for i in plan.intents if isinstance(i, Merge)} == {"a-1", "a-2"}
    assert plan.wake_at is not None
    assert plan.wake_at <= NOON + timedelta(seconds=1)


def test_what_was_never_promoted_needs_no_way_back() -> None:
    """The old version is the stable one."""
    one = begun("RollingBack", status={"rollback": ROLLBACK})

    result = found(seen_with(one), shifted=True)

    assert (result.serving, result.status.phase) == (OLD.hash, UpgradePhase.ROLLED_BACK)


def test_a_succeeded_upgrade_is_rolled_back_on_request_while_the_old_version_is_kept() -> None:
    """Without its record there is nothing to go back to."""
    one = begun("Succeeded", rollback={"requested": True})

    kept_still = found(seen_with(one, stable=NEW.hash))
    gone = found(seen_with(one, stable=NEW.hash), old=None)

    assert kept_still.status.phase is UpgradePhase.ROLLING_BACK
    assert gone.status.phase is UpgradePhase.SUCCEEDED
