"""Which revisions of an Agent stay once they do not serve any more."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent, revision_view, set_view
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.api import UpgradePhase
from agentherd.domain.belongings import obsolete
from agentherd.domain.change import choose
from agentherd.domain.observation import AgentObservation
from agentherd.domain.revision import revision_of

NEW = agent(image="agent:2", revisionHistoryLimit=0)
STABLE = revision_of(NEW.spec).hash
MINE = {"owner": NEW.metadata.uid}


def removed(seen: AgentObservation) -> list[str]:
    return [str(each.ref) for each in obsolete(seen, choose(seen), seen.agent.status)]


def after_upgrade(phase: str, *, records: list[Any], **spec: Any) -> AgentObservation:
    """No pods of the old revision are left; of the new one there are two."""
    status = {"phase": phase, "fromRevision": "0" * 10, "toRevision": STABLE, "attempt": 1}
    views = [set_view("0" * 10, wanted=0, **MINE), set_view(STABLE, **MINE)]
    return upgraded(
        NEW,
        seen_upgrade("greeter-2", owned=True, status=status, **spec),
        stable=STABLE,
        target=STABLE,
        governing="greeter-2",
        replica_sets={view.name: view for view in views},
        revisions={view.name: view for view in records},
    )


OLD = revision_view("0" * 10, 1, **MINE)


@pytest.mark.parametrize("phase", [UpgradePhase.SUCCEEDED, UpgradePhase.ROLLED_BACK])
def test_an_upgrade_that_has_ended_keeps_nothing_beyond_the_limit(phase: str) -> None:
    """A limit of 0 keeps no former revision, also while the upgrade still governs."""
    seen = after_upgrade(phase, records=[OLD, kept(NEW, 2)])

    assert removed(seen) == [
        "ReplicaSet greeter-0000000000",
        "ControllerRevision greeter-0000000000",
    ]


@pytest.mark.parametrize(
    ("phase", "spec"),
    [
        (UpgradePhase.PROMOTING, {}),
        (UpgradePhase.ROLLING_BACK, {}),
        (UpgradePhase.SUCCEEDED, {"rollback": {"requested": True}}),
    ],
)
def test_what_an_upgrade_may_have_to_go_back_to_stays(phase: str, spec: dict[str, Any]) -> None:
    """Whatever the limit."""
    assert removed(after_upgrade(phase, records=[OLD, kept(NEW, 2)], **spec)) == []


def test_pods_without_a_record_of_their_revision_go() -> None:
    """Somebody deleted the record; nobody could go back to them."""
    seen = after_upgrade(UpgradePhase.SUCCEEDED, records=[kept(NEW, 2)])

    assert removed(seen) == ["ReplicaSet greeter-0000000000"]


def test_pods_that_serve_stay_without_a_record() -> None:
    """It is made again, and they are not to blame."""
    assert removed(after_upgrade(UpgradePhase.SUCCEEDED, records=[OLD])) == [
        "ReplicaSet greeter-0000000000",
        "ControllerRevision greeter-0000000000",
    ]
