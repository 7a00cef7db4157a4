"""What people are told of upgrades: their statuses, and an Event for each end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, pod_view, set_view
from tests.unit.domain.samples import OWNED, kept, seen_upgrade, upgraded

from agentherd.domain.decide import decide
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import HTTP_ROUTE, Key, revision_service_name
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Emit, Failure, Plan, Ref, WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.routing.gateways import MIRROR, SeenGateways
from agentherd.domain.routing.routes import RouteView

BEFORE = agent(image="agent:1", replicas=2)
ASKED: dict[str, Any] = {"image": "agent:2", "replicas": 2, "metadata": {"generation": 2}}
OLD, NEW = revision_of(BEFORE.spec).hash, revision_of(agent(**ASKED).spec).hash
RECORDS = {f"greeter-{OLD}": kept(BEFORE, 1), f"greeter-{NEW}": kept(agent(**ASKED), 2)}
ROLLBACK = {"trigger": "Crash", "reason": "it crashed", "requestedBy": "agentherd", "at": NOON}


def upgrade(phase: str | None = "Progressing", **fields: Any) -> SeenUpgrade:
    status = {
        "phase": phase,
        "fromRevision": OLD,
        "toRevision": NEW,
        "steps": 3,
        "step": 1,
        "weight": 5,
        "startedAt": NOON,
        "progressSince": NOON,
        "readySince": NOON,
        "weightSince": NOON,
        "attempt": 1,
    }
    status = (status if phase else {}) | fields.pop("status", {})
    return seen_upgrade("greeter-2", owned=True, to={"revision": NEW}, status=status, **fields)


def seen_with(
    *upgrades: SeenUpgrade, stable: str = OLD, governing: str = "greeter-2", **fields: Any
) -> AgentObservation:
    spec = {name: fields.pop(name) for name in tuple(fields) if name not in SEEN}
    sets = [set_view(OLD), set_view(NEW, wanted=1)]
    known = {"revisions": RECORDS, "replica_sets": {view.name: view for view in sets}}
    return upgraded(
        agent(**ASKED | spec),
        *upgrades,
        stable=stable,
        target=NEW,
        governing=governing,
        **known | fields,
    )


SEEN = set(AgentObservation.__dataclass_fields__)


def status_of(plan: Plan, name: str = "greeter-2") -> dict[str, Any]:
    found = [i for i in plan.intents if isinstance(i, WriteStatus) and i.target.name == name]
    return dict(found[0].status) if found else {}


def traffic_of(plan: Plan) -> tuple[str, str, str]:
    conditions = {c["type"]: c for c in status_of(plan)["conditions"]}
    applied = conditions["TrafficApplied"]
    return applied["status"], applied["reason"], applied["message"]


def events_of(plan: Plan) -> list[tuple[str, Reason, bool]]:
    return [(i.target.kind.name, i.reason, i.warning) for i in plan.intents if isinstance(i, Emit)]


def test_those_that_wait_and_those_that_are_over_say_so() -> None:
    """Each by its own status."""
    seen = seen_with(
        upgrade(),
        seen_upgrade("mine", to={"version": "2.0.0"}),
        seen_upgrade("gone", owned=True, to={"revision": OLD}),
        seen_upgrade("former", status={"phase": "Succeeded"}),
    )

    plan = decide(seen, NOON)

    assert status_of(plan, "mine")["phase"] == "Pending"
    assert status_of(plan, "gone")["phase"] == "Superseded"
    assert "greeter-2" in status_of(plan, "gone")["history"][-1]["message"]
    assert status_of(plan, "former") == {}


def test_who_steers_what_is_over_is_told_that_it_has_no_effect() -> None:
    """Nothing of it is passed over in silence, and it is told once."""
    over = {"phase": "Succeeded", "attempt": 1, "observedGeneration": 1, "fromRevision": OLD}
    asked: dict[str, Any] = {
        "metadata": {"generation": 2},
        "rollback": {"requested": True, "reason": "too late"},
    }
    one = seen_upgrade("former", status=over, **asked)

    told = status_of(decide(seen_with(upgrade(), one), NOON), "former")
    again = seen_upgrade("former", status=told, **asked)
    after = status_of(decide(seen_with(upgrade(), again), NOON), "former")

    conditions = {c["type"]: c for c in told["conditions"]}
    assert (told["phase"], told["observedGeneration"]) == ("Succeeded", 2)
    assert [done["verb"] for done in told["controls"]] == ["RollbackRequested"]
    assert "has no effect" in conditions["Progressing"]["message"]
    assert OLD in conditions["Progressing"]["message"]
    assert conditions["Succeeded"]["status"] == "True"
    assert after == {}


def test_what_a_spec_that_was_set_back_ends_names_no_upgrade() -> None:
    """There is none."""
    seen = seen_with(upgrade())
    one = seen.agent.model_copy(update={"spec": BEFORE.spec})

    plan = decide(replace(seen, agent=one), NOON)

    assert status_of(plan)["phase"] == "Superseded"
    assert status_of(plan)["history"][-1]["message"].endswith("the former spec")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": {"weight": 0, "weightSince": None}}, "all requests go to the old version"),
        ({}, "requests are shared by the number of pods"),
        ({"traffic": {"parentRefs": [{"name": "public"}]}}, "HTTPRoute greeter does not exist"),
    ],
    ids=["nothing yet", "by pods", "no route"],
)
def test_how_requests_are_divided_is_told(fields: dict[str, Any], told: str) -> None:
    """Or why they are not."""
    one = upgrade(status=fields.pop("status", {}))

    applied, _, message = traffic_of(decide(seen_with(one, **fields), NOON))

    assert message == told
    assert applied == str("exist" not in told)


def test_the_weight_of_a_route_is_told() -> None:
    """In words."""
    place = (HTTP_ROUTE, Key("default", "greeter"))
    metadata = {"name": "greeter", "namespace": "default", "uid": "u", "resourceVersion": "1"}
    view = RouteView.of({"metadata": metadata | {"ownerReferences": OWNED}, "spec": {}})
    seen = seen_with(upgrade(), traffic={"parentRefs": [{"name": "public"}]}, routes={place: view})

    assert traffic_of(decide(seen, NOON)) == (
        "True",
        "WeightApplied",
        "the route gives the new version 5 %",
    )


def test_copies_are_told_and_not_counted() -> None:
    """A pod does not know a copy from a request, so the measured weight would be wrong."""
    steps = [{"weight": 0, "mirror": 100, "pause": {}}]
    strategy = {
        "type": "Canary",
        "steps": steps,
        "maxSurge": 1,
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 0,
        "abortScaleDownDelaySeconds": 0,
        "rollbackWindow": 3,
    }
    one = upgrade(status={"weight": 0, "steps": 1, "strategy": strategy, "weightSeen": 50})
    place = (HTTP_ROUTE, Key("default", "greeter"))
    metadata = {"name": "greeter", "namespace": "default", "uid": "u", "resourceVersion": "1"}
    view = RouteView.of({"metadata": metadata | {"ownerReferences": OWNED}, "spec": {}})
    gateways = SeenGateways(
        classes={Key("default", "public"): "fast"},
        features={"fast": frozenset({MIRROR})},
        known=True,
    )
    traffic = {"parentRefs": [{"name": "public"}]}

    plan = decide(seen_with(one, traffic=traffic, routes={place: view}, gateways=gateways), NOON)

    message = "all requests go to the old version, copies of 100 % to the new one"
    assert traffic_of(plan) == ("True", "WeightApplied", message)
    assert "weightSeen" not in status_of(plan)


def test_the_address_of_a_preview_is_told_while_there_is_one() -> None:
    """People open it in a browser."""
    blue = {"type": "BlueGreen", "blueGreen": {"pause": {}}}
    one = upgrade(None, strategy=blue)

    plan = decide(seen_with(one), NOON)
    without = decide(seen_with(upgrade()), NOON)

    assert status_of(plan)["preview"] == revision_service_name("greeter", NEW)
    assert "preview" not in status_of(without)


def test_a_version_without_ports_has_no_preview() -> None:
    """Nobody could open it."""
    template = {"spec": {"containers": [{"name": "agent", "image": "agent:2"}]}}
    one = agent(template=template, replicas=2, metadata={"generation": 2})
    bare = revision_of(one.spec).hash
    blue = {"type": "BlueGreen", "blueGreen": {"pause": {}}}
    waiting = seen_upgrade("greeter-2", owned=True, to={"revision": bare}, strategy=blue)
    seen = upgraded(one, waiting, stable=OLD, target=bare, governing="greeter-2", revisions=RECORDS)

    assert "preview" not in status_of(decide(seen, NOON))


CRASHED = {"p": pod_view("p", revision=NEW, fault=Fault(Reason.CRASHING, "it crashed"))}


def test_going_back_is_a_warning() -> None:
    """Of the upgrade, in the word that says why."""
    plan = decide(seen_with(upgrade(), pods=CRASHED), NOON)

    assert ("AgentUpgrade", Reason.CRASH, True) in events_of(plan)


def test_an_end_is_news_once() -> None:
    """Looked at again it is told in the status only."""
    seen = seen_with(upgrade("Promoting", status={"step": 3}), stable=NEW)

    first = decide(seen, NOON)
    again = decide(seen_with(upgrade(status=status_of(first)), stable=NEW), NOON)

    assert ("AgentUpgrade", Reason.UPGRADE_SUCCEEDED, False) in events_of(first)
    assert traffic_of(first)[2] == "all requests go to the new version"
    assert [e for e in events_of(again) if e[0] == "AgentUpgrade"] == []


def test_a_step_is_no_event() -> None:
    """It stands in the history."""
    plan = decide(seen_with(upgrade(status={"weight": 0, "weightSince": None})), NOON)

    assert [e for e in events_of(plan) if e[0] == "AgentUpgrade"] == []


# What the Agent says of its upgrade


def progressing(plan: Plan) -> str:
    conditions = {c["type"]: c for c in status_of(plan, "greeter")["conditions"]}
    message: str = conditions["Ready"]["message"]
    return message


@pytest.mark.parametrize(
    ("upgrades", "told"),
    [
        ((upgrade(),), "upgrade greeter-2 Progressing: "),
        ((upgrade(None, paused=True),), "upgrade greeter-2 has not begun"),
        (
            (upgrade("Succeeded", status={"fromRevision": NEW, "toRevision": OLD}),),
            f"greeter-2 has put revision {OLD} in the place of {NEW}, which the spec asks for",
        ),
        ((), f"the upgrade to revision {NEW} was deleted; revision {OLD} serves"),
        (
            (upgrade("RolledBack", status={"rollback": ROLLBACK}),),
            "upgrade greeter-2 was rolled back (Crash: it crashed)",
        ),
    ],
    ids=["runs", "waits", "done", "deleted", "rolled back"],
)
def test_an_agent_says_why_its_spec_is_not_followed(
    upgrades: tuple[SeenUpgrade, ...], told: str
) -> None:
    """And what to do."""
    assert told in progressing(decide(seen_with(*upgrades), NOON))


def test_an_upgrade_that_is_about_to_be_made_is_named() -> None:
    """Its name can be watched from then on."""
    seen = seen_with()
    status = seen.agent.status.model_copy(update={"target_revision": OLD, "upgrade": None})

    plan = decide(replace(seen, agent=seen.agent.model_copy(update={"status": status})), NOON)

    assert "upgrade greeter-2 is made" in progressing(plan)


def test_what_is_refused_of_a_new_version_is_its_upgrades_to_tell() -> None:
    """The Agent serves as before."""
    failure = Failure(reason=Reason.FORBIDDEN, message="no", generation=2, retry_at=NOON)
    seen = seen_with(upgrade(), failures={Ref("ReplicaSet", f"greeter-{NEW}"): failure})

    status = status_of(decide(seen, NOON), "greeter")

    assert status["phase"] != "Error"
    assert "lastError" not in status


def test_an_upgrade_that_has_just_taken_over_has_succeeded_whatever_is_asked_next() -> None:
    """Its version serves, so what waits for it goes on, and nobody is told that it was given up."""
    promotes = upgrade("Promoting", status={"step": 3, "weight": 50})

    plan = decide(seen_with(promotes, stable=NEW, image="agent:3"), NOON)
    before = decide(seen_with(promotes, stable=OLD, image="agent:3"), NOON)

    told = status_of(plan)
    assert (told["phase"], told["weight"]) == ("Succeeded", 100)
    assert {c["type"]: c["status"] for c in told["conditions"]}["Succeeded"] == "True"
    assert status_of(before)["phase"] == "Superseded"


def test_what_waits_for_an_agent_without_pods_is_told_so() -> None:
    """No other upgrade is to be waited for, and nobody would find one."""
    waiting = seen_upgrade("mine", to={"image": "agent:3"})

    told = status_of(decide(seen_with(waiting, stable=NEW, replicas=0), NOON), "mine")

    [queued] = [c for c in told["conditions"] if c["type"] == "Progressing"]
    assert queued["reason"] == "Queued"
    assert "its pods are wanted" in queued["message"]
