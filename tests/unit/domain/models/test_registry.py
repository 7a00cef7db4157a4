"""Which version is asked for: first which one serves, then which one is tried beside it."""

from __future__ import annotations

import pytest
from tests.unit.domain.models.samples import model, version

from agentherd.api import ModelDeployment
from agentherd.domain.models.registry import asked
from agentherd.domain.reasons import Reason

SMALL = {"embeddingDimension": 384}
LARGE = {"embeddingDimension": 768}


def asked_name(one: ModelDeployment) -> str | None:
    found = asked(one).version
    return found.name if found is not None else None


def test_the_active_version_is_asked_for() -> None:
    """As long as nothing is tried."""
    assert asked_name(model()) == "v1"
    assert asked(model()).canary is None


def test_a_canary_is_asked_for_beside_what_serves() -> None:
    found = asked(model(status={"activeVersion": "v1"}, canary={"version": "v2", "weight": 10}))

    assert found.version is not None
    assert found.version.name == "v2"
    assert found.canary is not None
    assert found.canary.weight == 10


@pytest.mark.parametrize("serving", [None, "v3"])
def test_a_canary_waits_until_the_active_version_serves(serving: str | None) -> None:
    """There is nothing to compare it with before."""
    status = {"activeVersion": serving} if serving else {}
    versions = [version("v1"), version("v2"), version("v3")]

    found = asked(model(versions=versions, status=status, canary={"version": "v2", "weight": 10}))

    assert found.version is not None
    assert (found.version.name, found.canary) == ("v1", None)


def test_a_canary_that_has_become_active_is_none_any_more() -> None:
    found = asked(
        model(
            activeVersion="v2",
            status={"activeVersion": "v1"},
            canary={"version": "v2", "weight": 10},
        )
    )

    assert found.version is not None
    assert (found.version.name, found.canary) == ("v2", None)


def test_an_incompatible_version_is_not_asked_for() -> None:
    """The one that serves stays, and the difference is told."""
    found = asked(
        model(
            versions=[version("v1", compatibility=SMALL), version("v2", compatibility=LARGE)],
            requires=SMALL,
            activeVersion="v2",
            status={"activeVersion": "v1"},
        )
    )

    assert found.version is not None
    assert found.version.name == "v1"
    assert found.complaint is not None
    assert found.complaint.reason is Reason.INCOMPATIBLE
    assert "embeddingDimension is 768, not 384" in found.complaint.message


def test_a_version_that_was_given_up_has_not_served() -> None:
    versions = [version("v1", compatibility=SMALL), version("v2", compatibility=LARGE)]
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:09Z"}
    swap = {"from": "v1", "to": "v2", "upgrade": "embedder-2", "durationSeconds": 9} | times

    found = {
        outcome: asked(
            model(
                versions=versions,
                activeVersion="v2",
                status={"activeVersion": "v1", "swaps": [swap | {"outcome": outcome}]},
            )
        ).complaint
        for outcome in ("Promoted", "RolledBack")
    }

    assert found["Promoted"] is None
    assert found["RolledBack"] is not None


def test_an_incompatible_canary_leaves_the_active_version_alone() -> None:
    versions = [version("v1", compatibility=SMALL), version("v2", compatibility=LARGE)]
    found = asked(
        model(
            versions=versions,
            status={"activeVersion": "v1"},
            canary={"version": "v2", "weight": 10},
        )
    )

    assert found.version is not None
    assert found.version.name == "v1"
    assert found.complaint is not None
    assert "version v1, which serves" in found.complaint.message


def test_nothing_is_asked_for_where_nothing_fits() -> None:
    """A first version that does not do what users need is not started."""
    found = asked(model(requires=SMALL))

    assert found.version is None
    assert found.complaint is not None


def test_what_serves_goes_on_though_users_need_more_by_now() -> None:
    """It is told all the same."""
    found = asked(model(requires=SMALL, status={"activeVersion": "v1"}))

    assert found.version is not None
    assert found.version.name == "v1"
    assert found.complaint is not None


def test_a_canary_is_not_tried_without_pods() -> None:
    """With no pods wanted it would take over without a single request."""
    status = {"activeVersion": "v1"}

    assert asked_name(model(replicas=0, status=status, canary={"version": "v2"})) == "v1"


def test_without_requirements_the_first_version_need_not_declare_anything() -> None:
    assert asked_name(model()) == "v1"
