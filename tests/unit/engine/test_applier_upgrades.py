"""What is written of an upgrade: nothing that is not true, and nothing over another's word."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import NOON, Rig, Twin, raw_agent, raw_upgrade

from agentherd.domain.errors import AgentherdError, Conflict, Forbidden, Invalid
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
    SERVICE,
    Key,
    Kind,
)
from agentherd.domain.plan import (
    Create,
    Emit,
    Identity,
    Intent,
    Merge,
    Owner,
    Plan,
    Scale,
    Stage,
    WriteStatus,
)
from agentherd.domain.reasons import Reason
from agentherd.engine.applier import Applier
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")
THE_AGENT = Identity(kind=AGENT, name="greeter", uid="uid-of-greeter")
OWNER = Owner(identity=THE_AGENT, seen_before=True)


@pytest.fixture
async def store(twin: Twin) -> Store:
    known = Store(AGENT, wake=lambda _key: None)
    known.put_subject(AGENT, twin.put(AGENT, raw_agent()))
    return known


@pytest.fixture
def applier(twin: Twin, store: Store) -> Applier:
    recorder = Recorder(twin, identity="test", clock=lambda: NOON)
    return Applier(cluster=twin, store=store, recorder=recorder)


def put(twin: Twin, kind: Kind, name: str) -> dict[str, Any]:
    return twin.put(kind, {"metadata": {"name": name, "namespace": "default"}, "spec": {}})


def merge(raw: dict[str, Any], kind: Kind, stage: Stage, *, version: int | None = None) -> Merge:
    """Mark what was seen."""
    return Merge(
        kind=kind,
        name=raw["metadata"]["name"],
        uid=raw["metadata"]["uid"],
        patch={"metadata": {"labels": {"a": "1"}}},
        stage=stage,
        version=version,
    )


TOLD = Emit(target=THE_AGENT, reason=Reason.ROLLED_BACK, message="x", warning=False, at=NOON)
STATUS = WriteStatus(target=THE_AGENT, status={"phase": "Online"}, urgent=True)


async def carried_out(twin: Twin, applier: Applier, refused: Stage) -> list[str]:
    """What is still written when the first write of a stage is refused, one of each being there."""
    names = {stage: stage.name.lower() for stage in Stage}
    shift, second = (
        merge(put(twin, SERVICE, name), SERVICE, Stage.TRAFFIC)
        for name in (names[Stage.TRAFFIC], "traffic-2")
    )
    record = merge(put(twin, POD, names[Stage.RECORD]), POD, Stage.RECORD)
    size = put(twin, REPLICA_SET, names[Stage.SCALE])
    scale = Scale(
        kind=REPLICA_SET, name=names[Stage.SCALE], uid=size["metadata"]["uid"], replicas=0
    )
    kinds = {Stage.TRAFFIC: SERVICE, Stage.RECORD: POD, Stage.SCALE: REPLICA_SET}
    twin.refusals[kinds[refused].name, names[refused]] = Forbidden("no")
    twin.requests.clear()

    work: list[Intent] = [shift, second, record, STATUS, scale, TOLD]
    refusals = await applier.carry_out(GREETER, OWNER, Plan(tuple(work)))

    assert [refusal.stage for refusal in refusals] == [refused]
    done = [f"{r.verb} {r.key.name}" for r in twin.requests]
    return [each for each in done if each.rpartition(" ")[2] != names[refused]]


@pytest.mark.parametrize(
    ("refused", "rest"),
    [
        (Stage.TRAFFIC, ["PATCH traffic-2"]),
        (Stage.RECORD, ["PATCH traffic", "PATCH traffic-2"]),
        (Stage.SCALE, ["PATCH traffic", "PATCH traffic-2", "PATCH record", "APPLY_STATUS greeter"]),
    ],
    ids=lambda value: value.name if isinstance(value, Stage) else "",
)
async def test_nothing_is_said_or_scaled_on_traffic_that_was_refused(
    twin: Twin, applier: Applier, refused: Stage, rest: list[str]
) -> None:
    """It would not be true, and pods would go that requests still come to."""
    done = await carried_out(twin, applier, refused)

    assert [each for each in done if not each.startswith("CREATE")] == rest
    assert any(each.startswith("CREATE") for each in done) is (refused is Stage.SCALE)


@pytest.mark.parametrize(("seen", "written"), [(0, True), (-1, False)], ids=["same", "older"])
async def test_a_list_that_is_replaced_whole_is_written_only_as_it_was_seen(
    twin: Twin, applier: Applier, seen: int, *, written: bool
) -> None:
    """What a person has done to the rules of a route meanwhile is not undone."""
    raw = put(twin, HTTP_ROUTE, "shared")
    version = int(raw["metadata"]["resourceVersion"]) + seen

    error: AgentherdError | None = None
    try:
        intent = merge(raw, HTTP_ROUTE, Stage.TRAFFIC, version=version)
        await applier.carry_out(GREETER, OWNER, Plan((intent,)))
    except Conflict as found:
        error = found

    assert ("labels" in twin.live(HTTP_ROUTE, "shared")["metadata"]) is written
    assert (error is None) is written


async def test_a_route_that_changed_stops_the_plan_made_for_it(
    twin: Twin, applier: Applier
) -> None:
    """All is looked at again; no status claims a weight that is not there."""
    raw = put(twin, HTTP_ROUTE, "shared")
    twin.edit(HTTP_ROUTE, "shared", {"spec": {"rules": []}})
    version = int(raw["metadata"]["resourceVersion"])
    shift = merge(raw, HTTP_ROUTE, Stage.TRAFFIC, version=version)

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, OWNER, Plan((shift, STATUS)))

    assert "status" not in twin.live(AGENT, "greeter")


async def test_an_upgrade_that_exists_is_not_made_again(
    twin: Twin, store: Store, applier: Applier
) -> None:
    """A turn that died has made it; what people have done with it since is kept."""
    twin.put(AGENT_UPGRADE, raw_upgrade(paused=True))

    made = Create(kind=AGENT_UPGRADE, manifest=raw_upgrade())
    refusals = await applier.carry_out(GREETER, OWNER, Plan((made,)))

    assert refusals == []
    assert twin.live(AGENT_UPGRADE, "greeter-2")["spec"]["paused"] is True


async def test_an_upgrade_that_was_made_is_known_at_once(
    twin: Twin, store: Store, applier: Applier
) -> None:
    """And needs no watch to tell of it."""
    made = Create(kind=AGENT_UPGRADE, manifest=raw_upgrade())

    await applier.carry_out(GREETER, OWNER, Plan((made,)))

    assert set(store.upgrades(GREETER)) == {"greeter-2"}


async def test_an_upgrade_that_is_refused_leaves_the_agent_unsaid(
    twin: Twin, applier: Applier
) -> None:
    """The spec counts as new until its upgrade exists."""
    twin.refusals["AgentUpgrade", "greeter-2"] = Invalid("no")
    made = Create(kind=AGENT_UPGRADE, manifest=raw_upgrade())

    refusals = await applier.carry_out(GREETER, OWNER, Plan((made, STATUS)))

    assert [refusal.stage for refusal in refusals] == [Stage.RECORD]
    assert "status" not in twin.live(AGENT, "greeter")


async def test_a_name_that_an_upgrade_of_another_agent_has_is_left_to_it(
    rig: Rig, twin: Twin
) -> None:
    """A changed spec would else wait for an upgrade that nobody makes, and be called deleted."""
    twin.put(AGENT, raw_agent())
    twin.put(AGENT_UPGRADE, raw_upgrade("greeter-2", targetRef={"name": "writer"}))
    await rig.until_quiet()

    twin.edit(AGENT, "greeter", {"spec": raw_agent(image="agent:2")["spec"]})
    await rig.live(seconds=5)

    status = twin.live(AGENT, "greeter")["status"]
    assert status["upgrade"] == f"greeter-2-{status['targetRevision']}"
    assert set(twin.names(AGENT_UPGRADE)) == {"greeter-2", status["upgrade"]}
    assert twin.live(AGENT_UPGRADE, status["upgrade"])["status"]["phase"] == "Progressing"


async def test_a_spec_into_which_a_success_is_written_is_known_at_once(
    twin: Twin, store: Store, applier: Applier
) -> None:
    """The next look compares with what the Agent asks for from now on."""
    version = int(twin.live(AGENT, "greeter")["metadata"]["resourceVersion"])
    promote = Merge(
        kind=AGENT,
        name="greeter",
        uid=THE_AGENT.uid,
        version=version,
        patch={"spec": {"version": "2.0.0"}},
        stage=Stage.RECORD,
    )

    await applier.carry_out(GREETER, OWNER, Plan((promote,)))

    known = store.workload(GREETER)
    assert known is not None
    assert known.spec.version == "2.0.0"
