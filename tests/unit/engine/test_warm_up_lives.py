"""Models whose pods have to be warm before they serve, from the first write to the last."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from tests.twin import Twin
from tests.twin.merging import Raw
from tests.twin.models import NAME, ModelRig, raw_model

from agentherd.domain.kinds import AGENT_UPGRADE, MODEL_DEPLOYMENT, POD
from agentherd.domain.warmth import WARM

WARM_UP: Final = {"path": "/v1/embeddings", "body": "{}", "failureThreshold": 3}
AT_ONCE: Final = {"type": "BlueGreen", "scaleDownDelaySeconds": 0, "abortScaleDownDelaySeconds": 0}


def live(twin: Twin, *, cold: str = "", **spec: Any) -> ModelRig:
    """A model of which a version is cold for good, before anything was done for it."""
    known = {"warmUp": WARM_UP, "upgradePolicy": AT_ONCE}
    twin.put(MODEL_DEPLOYMENT, raw_model(**known | spec))
    return another(twin, None, cold=cold)


def another(twin: Twin, before: ModelRig | None, *, cold: str = "") -> ModelRig:
    """Another process in the same cluster."""
    rig = ModelRig(twin, controllers=before.controllers if before else None)
    rig.warm_ups.cold |= {f"model:{cold}"}
    return rig


def change(twin: Twin, **spec: Any) -> None:
    twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": spec})


def status(twin: Twin) -> Raw:
    found: Raw = twin.live(MODEL_DEPLOYMENT, NAME)["status"]
    return found


def upgrade(twin: Twin) -> Raw:
    (found,) = twin.all(AGENT_UPGRADE)
    return found


def told(pod: Raw) -> Raw | None:
    return next((c for c in pod["status"]["conditions"] if c["type"] == WARM), None)


def written(twin: Twin) -> list[tuple[str, str]]:
    """Status and reason of each condition that was written."""
    return [
        (condition["status"], condition["reason"])
        for request in twin.requests
        if request.kind is POD and request.verb == "APPLY_STATUS" and request.body is not None
        for condition in request.body["status"]["conditions"]
    ]


async def test_a_model_is_ready_once_its_pods_are_warm(twin: Twin) -> None:
    """Each is asked once and told warm once."""
    rig = live(twin, replicas=2)

    await rig.until_quiet()

    assert status(twin)["phase"] == "Ready"
    assert written(twin) == [("True", "Warm")] * 2
    assert sorted(rig.warm_ups.asked) == sorted(p["metadata"]["uid"] for p in twin.all(POD))


async def test_a_model_without_a_warm_up_asks_nobody(twin: Twin) -> None:
    """Its pods have no gate either."""
    rig = live(twin, warmUp=None)

    await rig.until_quiet()

    assert status(twin)["phase"] == "Ready"
    assert (written(twin), rig.warm_ups.asked) == ([], [])


async def test_a_version_that_fails_its_warm_up_is_given_up(twin: Twin) -> None:
    """The failures are told one by one, and the version that serves is not touched."""
    rig = live(twin, cold="v2")
    await rig.until_quiet()
    twin.requests.clear()

    change(twin, activeVersion="v2")
    await rig.until_quiet()

    *failures, last = written(twin)
    assert set(failures) == {("False", "WarmingUp")}
    assert last == ("False", "WarmUpFailed")
    assert upgrade(twin)["status"]["phase"] == "RolledBack"
    assert upgrade(twin)["status"]["rollback"]["trigger"] == "WarmUpFailed"
    assert upgrade(twin)["status"]["rollback"]["reason"].endswith(
        "warm-up request POST /v1/embeddings was answered with status 503, 3 times in a row"
    )
    assert status(twin)["activeVersion"] == "v1"
    assert status(twin)["lastRollback"]["trigger"] == "WarmUpFailed"


@pytest.mark.parametrize("rounds", [1, 2, 3])
async def test_failures_outlive_the_process_that_counts_them(twin: Twin, rounds: int) -> None:
    """An operator that is killed again and again gives the version up all the same."""
    rig = live(twin, cold="v2")
    await rig.until_quiet()
    change(twin, activeVersion="v2")

    for _ in range(20):
        rig = another(twin, rig, cold="v2")
        for _ in range(rounds):
            rig.feed()
            await rig.work()
            rig.controllers.settle()
            await asyncio.sleep(0.4)
    await rig.until_quiet()

    assert upgrade(twin)["status"]["rollback"]["trigger"] == "WarmUpFailed"
    assert status(twin)["activeVersion"] == "v1"


async def test_a_first_version_that_fails_its_warm_up_may_come_late(twin: Twin) -> None:
    """Nothing else serves: it is told as failed, and asked on."""
    rig = live(twin, cold="v1")
    await rig.until_quiet()
    failed = status(twin)

    rig = another(twin, rig)
    await rig.until_quiet()

    assert failed["phase"] == "Failed"
    assert "status 503, 3 times in a row" in str(failed["conditions"])
    assert status(twin)["phase"] == "Ready"


async def test_a_container_that_is_started_again_is_warmed_up_again(twin: Twin) -> None:
    """Told cold at once, and warm when it has answered once more."""
    rig = live(twin)
    await rig.until_quiet()
    (pod,) = twin.all(POD)
    twin.requests.clear()

    rig.controllers.restarts[pod["metadata"]["uid"]] = 1
    await rig.until_quiet()

    assert written(twin) == [("False", "WarmingUp"), ("True", "Warm")]
    assert len(rig.warm_ups.asked) == 2
    assert told(twin.all(POD)[0]) != told(pod)
    assert status(twin)["phase"] == "Ready"


async def test_a_version_serves_while_another_one_is_cold(twin: Twin) -> None:
    """The swap waits for pods that are ready, which cold ones are not."""
    patient = WARM_UP | {"failureThreshold": 100}
    rig = live(twin, cold="v2", warmUp=patient)
    await rig.until_quiet()
    change(twin, activeVersion="v2")
    await rig.until_quiet()
    during = status(twin)

    await another(twin, rig).until_quiet()

    assert during["activeVersion"] == "v1"
    assert status(twin)["activeVersion"] == "v2"


async def test_a_warm_up_that_is_not_asked_for_any_more_holds_nobody_up(twin: Twin) -> None:
    """Neither the pods that have the gate nor those that come without."""
    rig = live(twin, cold="v1")
    await rig.until_quiet()

    change(twin, warmUp=None)
    await rig.until_quiet()

    assert status(twin)["phase"] == "Ready"
