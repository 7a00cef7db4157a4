"""A plan is carried out in its order, and every write holds only for what was seen."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from tests.twin import NOON, Twin, raw_agent

from agentherd.domain.errors import Conflict, Forbidden, Invalid, NameTaken, NotFound, Unreachable
from agentherd.domain.kinds import (
    AGENT,
    DISRUPTION_BUDGET,
    EVENT,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Key,
    Kind,
)
from agentherd.domain.plan import (
    Apply,
    Delete,
    Emit,
    Identity,
    Intent,
    Merge,
    Owner,
    Plan,
    Ref,
    Scale,
    Stage,
    WriteStatus,
)
from agentherd.domain.reasons import Reason
from agentherd.engine.applier import Applier, Refusal
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")
THE_AGENT = Identity(kind=AGENT, name="greeter", uid="uid-of-greeter")


@pytest.fixture
def store() -> Store:
    return Store(AGENT, wake=lambda _key: None)


@pytest.fixture
def applier(twin: Twin, store: Store) -> Applier:
    recorder = Recorder(twin, identity="test", clock=lambda: NOON)
    return Applier(cluster=twin, store=store, recorder=recorder)


@pytest.fixture
async def owner(twin: Twin, store: Store) -> Owner:
    """An Agent that the cluster and the store know."""
    store.put_subject(AGENT, twin.put(AGENT, raw_agent()))
    return Owner(identity=THE_AGENT, seen_before=False)


def apply(kind: Kind = SERVICE, name: str = "greeter", **fields: Any) -> Apply:
    spec = fields.pop("spec", {})
    labels = {"agentherd.dev/agent": "greeter"}
    owner = {"uid": "uid-of-greeter", "controller": True}
    metadata = {"name": name, "namespace": "default", "labels": labels, "ownerReferences": [owner]}
    manifest = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
    return Apply(
        stage=Stage.SCALE, kind=kind, manifest=manifest | {"spec": spec}, digest="d1", **fields
    )


STATUS = WriteStatus(target=THE_AGENT, status={"phase": "Online"}, urgent=True)


def plan(*intents: Intent) -> Plan:
    return Plan(intents)


def verbs(twin: Twin) -> list[str]:
    return [f"{request.verb} {request.kind.name}" for request in twin.requests]


async def test_intents_are_carried_out_in_their_order(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """The order is decided elsewhere, and kept here."""
    told = Emit(target=THE_AGENT, reason=Reason.OFFLINE, message="x", warning=False, at=NOON)

    await applier.carry_out(GREETER, owner, plan(apply(), STATUS, apply(SERVICE_ACCOUNT), told))

    assert verbs(twin) == [
        "APPLY Service",
        "APPLY_STATUS Agent",
        "APPLY ServiceAccount",
        "CREATE Event",
    ]


async def test_a_child_is_marked_with_what_was_applied(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """And is known at once, so that nothing is decided on less than was written."""
    await applier.carry_out(GREETER, owner, plan(apply()))

    assert twin.live(SERVICE, "greeter")["metadata"]["annotations"]["agentherd.dev/applied"] == "d1"
    assert store.children(GREETER, SERVICE)["greeter"].applied == "d1"


async def test_fields_that_others_may_change_are_written_with_the_rest(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """Merged into the manifest, but not into its digest."""
    intent = apply(
        REPLICA_SET, "greeter-1", spec={"selector": {}}, unhashed={"spec": {"replicas": 2}}
    )

    await applier.carry_out(GREETER, owner, plan(intent))

    assert twin.live(REPLICA_SET, "greeter-1")["spec"] == {"selector": {}, "replicas": 2}


async def test_a_child_that_was_made_anew_is_not_written(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """The uid is that of what was seen."""
    twin.put(SERVICE, {"metadata": {"name": "greeter", "namespace": "default"}})

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, owner, plan(apply(uid="another")))


async def test_a_status_is_written_to_the_agent_that_was_seen(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """One made anew under its name starts with a status of its own."""
    await applier.carry_out(GREETER, owner, plan(STATUS))
    seen = store.subjects(AGENT)[GREETER].subject.status.phase
    twin.remove(AGENT, "greeter")
    twin.put(AGENT, raw_agent(metadata={"uid": "another"}))

    assert seen == "Online"
    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, owner, plan(STATUS))


async def test_scaling_writes_the_number_and_nothing_else(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """Under a name of its own, so that it does not count as a change by somebody else."""
    await applier.carry_out(GREETER, owner, plan(apply(REPLICA_SET, "greeter-1", spec={"a": 1})))
    uid = twin.live(REPLICA_SET, "greeter-1")["metadata"]["uid"]

    scale = Scale(kind=REPLICA_SET, name="greeter-1", uid=uid, replicas=5)
    await applier.carry_out(GREETER, owner, plan(scale))

    assert twin.live(REPLICA_SET, "greeter-1")["spec"] == {"a": 1, "replicas": 5}


async def test_a_pod_that_is_gone_needs_no_change(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """Pods come and go; only those that are there are nudged."""
    labels = {"agentherd.dev/agent": "greeter"}
    raw = twin.put(POD, {"metadata": {"name": "there", "namespace": "default", "labels": labels}})
    patch = {"metadata": {"annotations": {"a": "1"}}}
    gone = Merge(kind=POD, name="gone", uid="u", patch=patch, stage=Stage.SCALE)
    there = replace(gone, name="there", uid=raw["metadata"]["uid"])

    refusals = await applier.carry_out(GREETER, owner, plan(gone, there))

    assert refusals == []
    assert twin.live(POD, "there")["metadata"]["annotations"] == {"a": "1"}


@pytest.mark.parametrize(("uid", "left"), [("mine", False), ("another", True)])
async def test_only_the_object_that_was_seen_is_deleted(
    twin: Twin, applier: Applier, owner: Owner, uid: str, *, left: bool
) -> None:
    """One made anew under its name stays."""
    metadata = {"name": "greeter", "namespace": "default", "uid": uid}
    twin.put(SERVICE, {"metadata": metadata})

    await applier.carry_out(GREETER, owner, plan(Delete(kind=SERVICE, name="greeter", uid="mine")))

    assert bool(twin.names(SERVICE)) is left


# Refusals


async def test_a_refusal_does_not_stop_the_others(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """They may still serve people."""
    error = Forbidden("no")
    twin.refusals["Service", "greeter"] = error

    work = plan(apply(), STATUS, apply(SERVICE_ACCOUNT))
    refusals = await applier.carry_out(GREETER, owner, work)

    assert refusals == [Refusal(Ref("Service", "greeter"), error, Stage.SCALE)]
    assert twin.names(SERVICE_ACCOUNT) == ["greeter"]


async def test_what_is_said_of_it_waits_when_something_before_was_refused(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """It was decided as if all that comes before had been done."""
    twin.refusals["Service", "greeter"] = Forbidden("no")
    missing = [replace(apply(kind), stage=Stage.CHILDREN) for kind in (SERVICE, SERVICE_ACCOUNT)]

    await applier.carry_out(GREETER, owner, plan(*missing, STATUS, apply(DISRUPTION_BUDGET)))

    assert verbs(twin) == ["APPLY Service", "APPLY ServiceAccount"]


async def test_no_answer_stops_the_rest(twin: Twin, applier: Applier, owner: Owner) -> None:
    """The rest would fare no better, and all of it comes again."""
    twin.interrupt(1, "before", Unreachable("no answer"))

    with pytest.raises(Unreachable):
        await applier.carry_out(GREETER, owner, plan(apply(), apply(SERVICE_ACCOUNT)))

    assert twin.names(SERVICE_ACCOUNT) == []


async def test_a_status_that_is_refused_is_not_a_matter_of_a_child(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """There is nowhere it could be told; it is tried again later, as the Agent may be gone."""
    twin.refusals["Agent", "greeter"] = Invalid("no")

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, owner, plan(STATUS))


async def test_a_process_that_may_not_lead_writes_nothing(twin: Twin, owner: Owner) -> None:
    """One that was frozen wakes up in the middle of a plan, when another leads already."""
    recorder = Recorder(twin, identity="me", clock=lambda: NOON)
    store = Store(AGENT, wake=lambda _key: None)
    frozen = Applier(cluster=twin, store=store, recorder=recorder, may_write=lambda: False)

    with pytest.raises(Conflict):
        await frozen.carry_out(GREETER, owner, plan(STATUS))

    assert not twin.writes


def leading(twin: Twin, times: int) -> Applier:
    """One that leads as many times as it asks, and then has been frozen for long."""
    answers = iter([True] * times)
    recorder = Recorder(twin, identity="me", clock=lambda: NOON)
    store = Store(AGENT, wake=lambda _key: None)
    leads = partial(next, answers, False)
    return Applier(cluster=twin, store=store, recorder=recorder, may_write=leads)


async def test_who_wakes_up_with_the_answer_whose_a_name_is_writes_nothing(
    twin: Twin, owner: Owner
) -> None:
    """The answer is of long ago, and another has made the child since."""
    with pytest.raises(Conflict):
        await leading(twin, 1).carry_out(GREETER, owner, plan(apply(claimed=True)))

    assert not twin.writes


@pytest.mark.parametrize("written", [1, 2])
async def test_who_wakes_up_with_a_refusal_makes_no_room(
    twin: Twin, owner: Owner, written: int
) -> None:
    """Neither are fields removed that exclude ours, nor is it tried again."""
    raw = twin.put(SERVICE, {"metadata": {"name": "b", "namespace": "default"}})
    twin.interrupt(1, "before", Invalid("the ports exclude each other"))
    intent = apply(name="b", uid=raw["metadata"]["uid"])

    with pytest.raises(Conflict):
        await leading(twin, 1 + written).carry_out(GREETER, owner, plan(intent))

    assert twin.writes == written


# Names that people use


def stranger(twin: Twin, **metadata: Any) -> None:
    twin.put(SERVICE, {"metadata": {"name": "greeter", "namespace": "default"} | metadata})


async def test_a_name_of_somebody_else_is_not_taken_over(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """Server-side apply would; the person is told what to do."""
    stranger(twin, labels={"app": "other"})

    (refusal,) = await applier.carry_out(GREETER, owner, plan(apply(claimed=True)))

    assert isinstance(refusal.error, NameTaken)
    assert "Service greeter exists and does not belong to this Agent" in str(refusal.error)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": [{"uid": "uid-of-greeter"}]},
        {"annotations": {"agentherd.dev/applied": "x"}},
        {
            "annotations": {"agentherd.dev/applied": "x"},
            "labels": {"agentherd.dev/agent": "greeter"},
        },
    ],
    ids=["owned", "label taken away", "owner taken away"],
)
async def test_what_is_ours_is_taken_back(
    twin: Twin, applier: Applier, owner: Owner, metadata: dict[str, Any]
) -> None:
    """Also when somebody removed what we know it by."""
    stranger(twin, **metadata)

    refusals = await applier.carry_out(GREETER, owner, plan(apply(claimed=True)))

    assert refusals == []
    assert twin.live(SERVICE, "greeter")["metadata"]["ownerReferences"][0]["controller"] is True


@pytest.mark.parametrize(
    "metadata",
    [
        {
            "ownerReferences": [{"uid": "other"}],
            "annotations": {"agentherd.dev/applied": "x"},
        },
        {
            "annotations": {"agentherd.dev/applied": "x"},
            "labels": {"agentherd.dev/agent": "other"},
        },
    ],
    ids=["owned by another", "of another Agent"],
)
async def test_what_is_anothers_is_left_alone(
    twin: Twin, applier: Applier, owner: Owner, metadata: dict[str, Any]
) -> None:
    """Also what is of another Agent."""
    stranger(twin, **metadata)

    (refusal,) = await applier.carry_out(GREETER, owner, plan(apply(claimed=True)))

    assert isinstance(refusal.error, NameTaken)


async def test_a_free_name_is_taken(twin: Twin, applier: Applier, owner: Owner) -> None:
    """The usual case."""
    assert await applier.carry_out(GREETER, owner, plan(apply(claimed=True))) == []


# Fields that exclude ours


async def test_what_somebody_added_and_excludes_ours_is_removed(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """Server-side apply leaves others' fields alone and can only fail on them."""
    raw = twin.put(
        DISRUPTION_BUDGET,
        {"metadata": {"name": "b", "namespace": "default"}, "spec": {"minAvailable": 1}},
    )
    intent = apply(DISRUPTION_BUDGET, "b", spec={"maxUnavailable": 1}, uid=raw["metadata"]["uid"])
    twin.interrupt(1, "before", Invalid("maxUnavailable and minAvailable exclude each other"))

    refusals = await applier.carry_out(GREETER, owner, plan(intent))

    assert refusals == []
    assert twin.live(DISRUPTION_BUDGET, "b")["spec"] == {"maxUnavailable": 1}


@pytest.mark.parametrize(
    ("kind", "uid"), [(DISRUPTION_BUDGET, None), (SERVICE_ACCOUNT, "u1")], ids=["new", "other kind"]
)
async def test_what_is_invalid_for_other_reasons_is_told(
    twin: Twin, applier: Applier, owner: Owner, kind: Kind, uid: str | None
) -> None:
    """There is nobody's field in the way."""
    twin.refusals[kind.name, "b"] = Invalid("no")

    (refusal,) = await applier.carry_out(GREETER, owner, plan(apply(kind, "b", uid=uid)))

    assert isinstance(refusal.error, Invalid)


# The Agent may be gone


def seen_before(owner: Owner) -> Owner:
    return replace(owner, seen_before=True)


async def test_no_children_are_made_for_an_agent_that_was_deleted(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """Its children are missing because the news of its end has not arrived."""
    twin.remove(AGENT, "greeter")

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, seen_before(owner), plan(apply()))

    assert twin.names(SERVICE) == []
    assert store.subjects(AGENT) == {}


async def test_no_children_are_made_for_an_agent_that_was_made_anew(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """It is the new one that gets them, on its own turn."""
    twin.remove(AGENT, "greeter")
    twin.put(AGENT, raw_agent(metadata={"uid": "another"}))

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, seen_before(owner), plan(apply()))

    assert twin.names(SERVICE) == []
    assert store.subjects(AGENT)[GREETER].subject.metadata.uid == "another"


async def test_a_deleted_agent_that_nobody_knows_is_no_surprise(
    twin: Twin, store: Store, applier: Applier, owner: Owner
) -> None:
    """The news arrived while the plan was made."""
    twin.remove(AGENT, "greeter")
    store.drop_subject(AGENT, GREETER, 10_000)

    with pytest.raises(Conflict):
        await applier.carry_out(GREETER, seen_before(owner), plan(apply()))


async def test_an_agent_that_is_there_is_looked_at_once_more(
    twin: Twin, applier: Applier, owner: Owner
) -> None:
    """One read for a child that is made again; none for the first ones."""
    await applier.carry_out(GREETER, owner, plan(apply()))
    await applier.carry_out(GREETER, seen_before(owner), plan(apply(SERVICE_ACCOUNT)))

    assert verbs(twin) == ["APPLY Service", "GET Agent", "APPLY ServiceAccount"]


async def test_an_event_that_cannot_be_written_stops_nothing(
    twin: Twin, applier: Applier, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    """It is news; the status holds the truth."""
    caplog.set_level(logging.INFO)
    twin.interrupt(1, "before", NotFound("no such namespace"))
    told = Emit(target=THE_AGENT, reason=Reason.OFFLINE, message="x", warning=False, at=NOON)

    refusals = await applier.carry_out(GREETER, owner, plan(told))

    assert refusals == []
    assert twin.names(EVENT) == []
    assert "no Event Offline" in caplog.text
