"""What follows from what was seen of an Agent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin import Controllers, Rig, Twin, in_fake_time
from tests.twin.rig import loop_clock
from tests.twin.samples import (
    NOON,
    agent,
    pod_view,
    raw_agent,
    raw_upgrade,
    revision_view,
    set_view,
)
from tests.unit.domain.samples import kept, seen_upgrade

from agentherd.api import Phase
from agentherd.domain.decide import decide
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, REPLICA_SET, REVISION_LABEL, SERVICE
from agentherd.domain.observation import AgentObservation, Dependency
from agentherd.domain.plan import (
    Apply,
    Create,
    Delete,
    Emit,
    Failure,
    Merge,
    Plan,
    Ref,
    Scale,
    Stage,
    WriteStatus,
)
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of

LATER = NOON + timedelta(minutes=1)


def observed(*, seen: dict[str, Any] | None = None, **options: Any) -> AgentObservation:
    return AgentObservation(**{"agent": agent(**options), "writer": "kubectl"} | (seen or {}))


def settled(**spec: Any) -> AgentObservation:
    """What is seen of an Agent when nothing is left to do."""

    async def live() -> AgentObservation:
        twin = Twin(loop_clock)
        twin.put(AGENT, raw_agent(**spec))
        rig = Rig(twin)
        await rig.until_quiet()
        return rig.seen()

    return in_fake_time(live)


def refs(plan: Plan, kind: type[Any]) -> list[str]:
    return [str(intent.ref) for intent in plan.intents if isinstance(intent, kind)]


def status_of(plan: Plan) -> dict[str, Any]:
    return next(dict(i.status) for i in plan.intents if isinstance(i, WriteStatus))


def events_of(plan: Plan) -> list[tuple[Reason, bool]]:
    return [(i.reason, i.warning) for i in plan.intents if isinstance(i, Emit)]


SETTLED = settled(replicas=2, config={"a": "1"})
REVISION = revision_of(SETTLED.agent.spec).hash


def changed(seen: AgentObservation, **spec: Any) -> AgentObservation:
    """The same, after a person has written something else into the spec."""
    one = agent(**{"replicas": 2, "config": {"a": "1"}} | spec, metadata={"generation": 2})
    metadata = one.metadata.model_copy(update={"uid": seen.agent.metadata.uid})
    update = {"status": seen.agent.status, "metadata": metadata}
    return replace(seen, agent=one.model_copy(update=update))


def in_status(seen: AgentObservation, **fields: Any) -> AgentObservation:
    status = seen.agent.status.model_copy(update=fields)
    return replace(seen, agent=seen.agent.model_copy(update={"status": status}))


# The whole


policies = st.sampled_from(
    [
        {"type": "BlueGreen"},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        {"type": "Canary", "canary": {"steps": [{"weight": 50, "pause": {"seconds": 3}}]}},
    ]
)
specs = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 3),
        "operatingMode": st.sampled_from(["Running", "Suspended", "Maintenance", "Offline"]),
        "configUpdate": st.sampled_from(["Rollout", "InPlace"]),
        "config": st.sampled_from([{}, {"a": "1"}, {"a": "2", "b": ""}]),
        "revisionHistoryLimit": st.integers(0, 1),
        "upgradePolicy": policies,
    },
    optional={
        "version": st.just("1.0.0"),
        "health": st.just({"http": {"port": 8080}}),
        "drain": st.just({"timeoutSeconds": 5, "delaySeconds": 1}),
        "operatingModeReason": st.just("because"),
        "image": st.sampled_from(["agent:1", "agent:2", "agent:broken"]),
        "dependsOn": st.just(["nobody"]),
    },
)


@settings(max_examples=40)
@given(st.lists(specs, min_size=1, max_size=3))
def test_once_everything_is_done_nothing_is_left_to_do(life: list[dict[str, Any]]) -> None:
    """Whatever was asked for one after the other: also a new process finds nothing to write."""

    async def live() -> Plan:
        twin = Twin(loop_clock)
        controllers = Controllers(twin)
        controllers.sick_images["agent:broken"] = "ImagePullBackOff"
        for spec in life:
            twin.put(AGENT, raw_agent(**spec) | status_so_far(twin))
            await Rig(twin, controllers=controllers).until_quiet(patience=KEPT_SECONDS)
        rig = Rig(twin)
        rig.feed()
        return rig.plan()

    assert in_fake_time(live).intents == ()


KEPT_SECONDS = 31
"""How long the pods of the version that lost are kept, and one more."""


def status_so_far(twin: Twin) -> dict[str, Any]:
    known = twin.all(AGENT)
    return {"status": known[0]["status"]} if known else {}


@settings(max_examples=60)
@given(specs)
def test_a_plan_is_in_the_order_of_its_stages(spec: dict[str, Any]) -> None:
    """Traffic, status, scale, events."""
    stages = [intent.stage for intent in decide(observed(**spec), NOON).intents]

    assert stages == sorted(stages)


def test_a_new_agent_gets_all_its_children_in_one_plan() -> None:
    """What pods need comes before them, and the status before the pods."""
    plan = decide(observed(replicas=2, config={"a": "1"}), NOON)

    kinds = [i.ref[0] if isinstance(i, Apply) else type(i).__name__ for i in plan.intents]
    assert kinds == [
        "Service",
        "ServiceAccount",
        "ConfigMap",
        "ControllerRevision",
        "PodDisruptionBudget",
        "WriteStatus",
        "ReplicaSet",
    ]


def test_an_agent_without_pods_is_not_called_ready_before_all_its_children_are_there() -> None:
    """Its status says in its first turn that nothing is left to be done, so it comes last."""
    plan = decide(observed(operatingMode="Offline", config={"a": "1"}), NOON)

    assert status_of(plan)["phase"] == "Offline"
    assert isinstance(plan.intents[-1], WriteStatus)


def test_a_new_replica_set_is_made_in_its_size() -> None:
    """One write less than making and scaling it, and the size is not part of its digest."""
    plan = decide(observed(replicas=2), NOON)

    (made,) = [i for i in plan.intents if isinstance(i, Apply) and i.kind is REPLICA_SET]
    assert made.unhashed == {"spec": {"replicas": 2}}
    assert "replicas" not in made.manifest["spec"]


def test_names_without_a_revision_are_claimed() -> None:
    """Somebody may have an object of that name; a hash nobody meets by chance."""
    plan = decide(observed(replicas=2, config={"a": "1"}, configUpdate="InPlace"), NOON)

    claimed = {i.kind.name for i in plan.intents if isinstance(i, Apply) and i.claimed}
    assert claimed == {"ConfigMap", "PodDisruptionBudget", "Service", "ServiceAccount"}


# Hands off


def test_an_agent_that_is_being_deleted_is_left_alone() -> None:
    """The garbage collector does the rest."""
    seen = observed(metadata={"deletionTimestamp": "2026-11-21T12:00:00Z"})

    assert decide(seen, NOON) == Plan()


@pytest.mark.parametrize(
    "seen",
    [
        observed(metadata={"annotations": {"agentherd.dev/unmanaged": "true"}}),
        observed(seen={"unreadable": "spec.operatingMode: no such mode"}),
    ],
    ids=["unmanaged", "unreadable"],
)
def test_what_must_not_be_touched_gets_a_status_at_most(seen: AgentObservation) -> None:
    """It says why, once."""
    (write,) = decide(seen, NOON).intents
    assert isinstance(write, WriteStatus)
    said = seen.agent.status.model_validate(dict(write.status))

    again = replace(seen, agent=seen.agent.model_copy(update={"status": said}))

    assert decide(again, LATER).intents == ()


def test_managed_again_the_condition_is_gone() -> None:
    """Managed exists only while it is False."""
    plan = decide(observed(metadata={"annotations": {"agentherd.dev/unmanaged": "false"}}), NOON)

    assert "Managed" not in {c["type"] for c in status_of(plan)["conditions"]}


# Dependencies


def test_an_agent_that_waits_has_everything_but_pods() -> None:
    """It can start at once when its turn comes."""
    waiting = (Dependency("model", exists=True, available=False),)

    plan = decide(observed(dependsOn=["model"], seen={"dependencies": waiting}), NOON)

    (made,) = [i for i in plan.intents if isinstance(i, Apply) and i.kind is REPLICA_SET]
    assert made.unhashed == {"spec": {"replicas": 0}}
    assert status_of(plan)["phase"] == "Deploying"
    assert plan.wake_at is None


def test_two_agents_that_wait_for_each_other_are_told_so() -> None:
    """They would wait for ever."""
    waiting = (Dependency("model", exists=True, available=False, needs=frozenset({"greeter"})),)

    plan = decide(observed(dependsOn=["model"], seen={"dependencies": waiting}), NOON)

    assert status_of(plan)["lastError"]["reason"] == "DependencyCycle"
    assert "greeter and model depend on each other" in status_of(plan)["lastError"]["message"]


# Children


@pytest.mark.parametrize(
    "change",
    [{"touched": True}, {"applied": "other"}, {"owner": None}],
    ids=["somebody was at it", "applied by another version", "owner taken away"],
)
def test_a_child_that_was_changed_is_put_right(change: dict[str, Any]) -> None:
    """And nothing else is written."""
    service = replace(SETTLED.services["greeter"], **change)

    plan = decide(replace(SETTLED, services={"greeter": service}), NOON)

    assert refs(plan, Apply) == ["Service greeter"]
    assert len(plan.intents) == 1


def test_a_child_that_is_not_needed_any_more_is_deleted() -> None:
    """One pod could never be moved if it had a budget."""
    plan = decide(changed(SETTLED, replicas=1), NOON)

    assert refs(plan, Delete) == ["PodDisruptionBudget agentherd-greeter"]


def test_a_size_that_somebody_changed_is_put_right() -> None:
    """Only the number is written."""
    name = f"greeter-{REVISION}"
    sets = {name: replace(SETTLED.replica_sets[name], wanted=1)}

    plan = decide(replace(SETTLED, replica_sets=sets), NOON)

    assert refs(plan, Scale) == [f"ReplicaSet {name}"]


def test_a_template_without_ports_has_no_service() -> None:
    """Nobody could send to it."""
    container = {"name": "agent", "image": "agent:1"}

    plan = decide(observed(template={"spec": {"containers": [container]}}), NOON)

    assert "Service greeter" not in refs(plan, Apply)


# Refusals


def refused(kind: str, name: str, *, retry_at: Any = LATER) -> dict[Ref, Failure]:
    failure = Failure(
        reason=Reason.FORBIDDEN, message=f"no {kind}", generation=1, retry_at=retry_at
    )
    return {Ref(kind, name): failure}


def test_a_child_that_was_refused_is_left_alone_until_it_is_due() -> None:
    """No retry storm; the clock is set instead."""
    failures = refused("Service", "greeter")
    seen = observed(seen={"failures": failures})

    early, due = decide(seen, NOON), decide(seen, LATER)

    assert "Service greeter" not in refs(early, Apply)
    assert early.wake_at == LATER
    assert "Service greeter" in refs(due, Apply)


def test_a_refusal_does_not_keep_the_other_children_waiting() -> None:
    """They may still serve people."""
    plan = decide(observed(seen={"failures": refused("Service", "greeter")}), NOON)

    assert "ReplicaSet" in {ref.split()[0] for ref in refs(plan, Apply)}


def test_of_several_refusals_that_of_the_pods_is_told() -> None:
    """It is the one that keeps people waiting."""
    failures = refused("ConfigMap", "a") | refused("ReplicaSet", "z")

    plan = decide(observed(seen={"failures": failures}), NOON)

    assert status_of(plan)["lastError"]["message"] == "no ReplicaSet"


CONFLICT = {
    "spec": {"containers": [{"name": "agent", "image": "a", "env": [{"name": "AGENTHERD_AGENT"}]}]}
}


def test_a_template_that_contradicts_the_spec_makes_no_pods() -> None:
    """The status says what to do."""
    plan = decide(observed(template=CONFLICT), NOON)

    assert not any(ref.startswith("ReplicaSet") for ref in refs(plan, Apply))
    assert status_of(plan)["lastError"]["reason"] == "TemplateConflict"


# Changes of a running Agent


def test_a_changed_spec_gets_an_upgrade_and_nothing_else() -> None:
    """What runs is left as it is."""
    plan = decide(changed(SETTLED, image="agent:2"), NOON)

    assert refs(plan, Create) == ["AgentUpgrade greeter-2"]
    assert refs(plan, Apply) + refs(plan, Scale) + refs(plan, Delete) == []
    assert (status_of(plan)["upgrade"], status_of(plan)["stableRevision"]) == (
        "greeter-2",
        REVISION,
    )


def test_pods_that_are_still_warm_are_not_drained_by_the_change_that_goes_back_to_them() -> None:
    """The upgrade that is being made begins with them."""
    back = changed(SETTLED, config={"a": "2"})
    warm = set_view(revision_of(back.agent.spec).hash)
    pod = pod_view(warm.revision)
    seen = replace(
        back,
        replica_sets={**back.replica_sets, warm.name: warm},
        pods={**back.pods, pod.name: pod},
    )

    plan = decide(seen, NOON)

    touched = [i.name for i in plan.intents if isinstance(i, Scale | Merge)]
    assert [i.kind for i in plan.intents if isinstance(i, Create)] == [AGENT_UPGRADE]
    assert touched == []


def test_an_upgrade_that_could_not_be_made_is_made_later() -> None:
    """Until then its spec counts as new; else the change would be forgotten."""
    seen = changed(SETTLED, image="agent:2")
    failures = refused("AgentUpgrade", "greeter-2")

    early = decide(replace(seen, failures=failures), NOON)
    due = decide(replace(seen, failures=failures), LATER)

    assert refs(early, Create) == []
    assert early.wake_at == LATER
    assert status_of(early)["targetRevision"] == REVISION
    assert refs(due, Create) == ["AgentUpgrade greeter-2"]


def upgrading(phase: str, *, pods: int, **status: Any) -> AgentObservation:
    """An Agent whose upgrade to another image has so many new pods."""
    seen = changed(SETTLED, image="agent:2", upgradePolicy={"type": "BlueGreen"})
    asked = revision_of(seen.agent.spec)
    known = {
        "phase": phase,
        "fromRevision": REVISION,
        "toRevision": asked.hash,
        "steps": 1,
        "step": 1,
        "startedAt": NOON,
        "progressSince": NOON,
    }
    one = seen_upgrade("greeter-2", owned=True, status=known | status, to={"revision": asked.hash})
    name = f"greeter-{asked.hash}"
    sets = {**seen.replica_sets, name: set_view(asked.hash, available=pods, ready=pods)}
    records = {**seen.revisions, name: kept(seen.agent, 2)}
    seen = replace(seen, upgrades={"greeter-2": one}, replica_sets=sets, revisions=records)
    return in_status(seen, upgrade="greeter-2", target_revision=asked.hash, observed_generation=2)


def selected(plan: Plan) -> list[str]:
    """The revisions that the Service of the Agent is made to send to."""
    made = [i.manifest for i in plan.intents if isinstance(i, Apply) and i.kind is SERVICE]
    return [each["spec"]["selector"][REVISION_LABEL] for each in made if is_stable(each)]


def is_stable(manifest: Any) -> bool:
    return bool(manifest["metadata"]["name"] == "greeter")


def test_the_new_revision_takes_over_in_one_turn() -> None:
    """Service and status; the pods of the old one stay, and there is another look at once."""
    seen = upgrading("Promoting", pods=2)
    new = revision_of(seen.agent.spec).hash

    plan = decide(seen, NOON)

    assert selected(plan) == [new]
    assert (status_of(plan)["stableRevision"], status_of(plan)["formerRevisions"]) == (
        new,
        [REVISION],
    )
    assert refs(plan, Scale) == []
    assert events_of(plan) == [(Reason.REVISION_PROMOTED, False)]
    assert plan.wake_at == NOON


def test_without_all_its_pods_it_does_not_take_over() -> None:
    """The Service stays where it was."""
    seen = upgrading("Promoting", pods=1)

    plan = decide(seen, NOON)

    assert selected(plan) == [REVISION]
    assert status_of(plan)["stableRevision"] == REVISION


def test_the_first_write_of_a_rollback_takes_the_requests_back() -> None:
    """Before anything is recorded."""
    seen = upgrading("RollingBack", pods=2, rollback=ROLLBACK)
    new = revision_of(seen.agent.spec).hash
    seen = in_status(seen, stable_revision=new)

    plan = decide(seen, NOON)

    assert selected(plan) == [REVISION]
    assert plan.intents[0].stage is Stage.TRAFFIC
    assert status_of(plan)["stableRevision"] == REVISION
    assert "formerRevisions" not in status_of(plan) or not status_of(plan)["formerRevisions"]


ROLLBACK = {"trigger": "Requested", "reason": "no", "requestedBy": "kubectl", "at": NOON}


def test_a_version_that_is_gone_back_to_gets_its_pods_first() -> None:
    """Until they are there the new one serves on."""
    seen = upgrading("RollingBack", pods=2, rollback=ROLLBACK)
    new = revision_of(seen.agent.spec).hash
    old = replace(seen.replica_sets[f"greeter-{REVISION}"], wanted=0, replicas=0, available=0)
    sets = {**seen.replica_sets, old.name: old}
    seen = replace(in_status(seen, stable_revision=new), replica_sets=sets)

    plan = decide(seen, NOON)

    assert refs(plan, Scale) == [f"ReplicaSet greeter-{REVISION}"]
    assert status_of(plan)["stableRevision"] == new


def test_revisions_beyond_the_limit_go_with_all_that_is_theirs() -> None:
    """ReplicaSet, config and record; what still has pods stays."""
    mine = {"owner": SETTLED.agent.metadata.uid}
    old = [revision_view(name, number, **mine) for number, name in enumerate("abc", 1)]
    sets = {
        "greeter-a": set_view("a", wanted=0, **mine),
        "greeter-b": set_view("b", wanted=0, replicas=1, **mine),
    }
    seen = changed(SETTLED, revisionHistoryLimit=0)
    seen = replace(
        seen,
        revisions={**seen.revisions, **{v.name: v for v in old}},
        replica_sets={**seen.replica_sets, **sets},
    )

    plan = decide(seen, NOON)

    assert refs(plan, Delete) == [
        "ReplicaSet greeter-a",
        "ControllerRevision greeter-a",
        "ControllerRevision greeter-c",
    ]


def test_what_is_being_deleted_is_not_deleted_twice() -> None:
    """Its end wakes us."""
    mine = {"owner": SETTLED.agent.metadata.uid, "deleting": True}
    seen = changed(SETTLED, revisionHistoryLimit=0)
    seen = replace(seen, revisions={**seen.revisions, "greeter-a": revision_view("a", 0, **mine)})

    assert refs(decide(seen, NOON), Delete) == []


# Config that is reloaded in place


IN_PLACE = settled(config={"a": "1"}, configUpdate="InPlace")


def reloaded(**fields: Any) -> AgentObservation:
    """Its config has changed an instant ago."""
    one = changed(IN_PLACE, replicas=1, config={"a": "2"}, configUpdate="InPlace")
    pods = {name: replace(pod, created="2026-11-21T11:00:00Z") for name, pod in one.pods.items()}
    return replace(one, pods={name: replace(pod, **fields) for name, pod in pods.items()})


def test_pods_are_nudged_when_a_config_is_reloaded() -> None:
    """The kubelet brings it at once to a pod that has changed."""
    plan = decide(reloaded(), LATER)

    assert refs(plan, Merge) == [f"Pod {name}" for name in IN_PLACE.pods]
    assert "ConfigMap agentherd-greeter" in refs(plan, Apply)
    assert refs(plan, Scale) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"deleting": True},
        {"created": "2026-11-21T13:00:00Z"},
        {"config": "55db7c1b9d"},
    ],
    ids=["going", "made since", "nudged already"],
)
def test_pods_that_need_no_nudge_get_none(fields: dict[str, Any]) -> None:
    """One write per pod and change."""
    if "config" in fields:
        fields = {"config": status_of(decide(reloaded(), LATER))["configHash"]}

    assert refs(decide(reloaded(**fields), LATER), Merge) == []


def test_the_shared_config_stays_until_no_pod_mounts_it() -> None:
    """Pods of the former revision read it until the last of them has gone."""
    moved = changed(IN_PLACE, replicas=1, configUpdate="Rollout")
    new = revision_of(moved.agent.spec)
    old = {n: replace(view, wanted=0, available=0) for n, view in moved.replica_sets.items()}
    sets = {**old, f"greeter-{new.hash}": set_view(new.hash, wanted=1)}
    moved = in_status(moved, stable_revision=new.hash, target_revision=new.hash)
    gone = {n: replace(view, replicas=0) for n, view in old.items()}

    early = decide(replace(moved, replica_sets=sets), NOON)
    late = decide(replace(moved, replica_sets={**sets, **gone}), NOON)

    assert "ConfigMap agentherd-greeter" not in refs(early, Delete)
    assert "ConfigMap agentherd-greeter" in refs(late, Delete)


# What people are told


CRASHED = {"p": pod_view("p", revision=REVISION, fault=Fault(Reason.CRASHING, "it crashed"))}
DOWN = {
    f"greeter-{REVISION}": replace(
        SETTLED.replica_sets[f"greeter-{REVISION}"], available=0, ready=0
    )
}


def test_an_error_is_a_warning_once() -> None:
    """Entering it is news; being in it is not."""
    broken = replace(in_status(SETTLED, phase=Phase.DEPLOYING), pods=CRASHED, replica_sets=DOWN)

    assert events_of(decide(broken, NOON)) == [(Reason.CRASHING, True)]
    assert events_of(decide(in_status(broken, phase=Phase.ERROR), NOON)) == []


def test_the_end_of_an_error_is_told() -> None:
    """Whoever read the warning wants to know."""
    assert events_of(decide(in_status(SETTLED, phase=Phase.ERROR), NOON)) == [
        (Reason.ALL_AVAILABLE, False)
    ]


def test_a_first_start_that_succeeds_is_no_news() -> None:
    """A fleet that starts would flood the Events."""
    assert events_of(decide(in_status(SETTLED, phase=Phase.DEPLOYING), NOON)) == []


def test_a_mode_that_is_reached_is_told() -> None:
    """It was asked for by somebody."""
    seen = replace(changed(SETTLED, operatingMode="Suspended"), pods={})

    assert events_of(decide(seen, NOON)) == [(Reason.SUSPENDED, False)]


def test_a_fault_of_a_pod_that_goes_does_not_count() -> None:
    """Killed at the end of its grace, it may well exit with an error."""
    going = {"p": replace(CRASHED["p"], deleting=True)}

    assert decide(replace(SETTLED, pods=going), NOON).intents == ()


def test_pods_that_the_server_refuses_are_the_fault_of_the_replica_set() -> None:
    """There is no pod that could have one."""
    fault = Fault(Reason.QUOTA_EXCEEDED, "exceeded quota")
    sets = {name: replace(view, fault=fault) for name, view in DOWN.items()}

    plan = decide(replace(in_status(SETTLED, phase=Phase.DEPLOYING), replica_sets=sets), NOON)

    assert status_of(plan)["lastError"]["reason"] == "QuotaExceeded"


# When to look again


def succeeds(*upgrades: dict[str, Any], seconds: int, **spec: Any) -> list[str]:
    """The phases of upgrades that people create together with an Agent, by their names."""

    async def live() -> list[str]:
        twin = Twin(loop_clock)
        rig = Rig(twin)
        rig.controllers.sick_images["agent:broken"] = "ImagePullBackOff"
        twin.put(AGENT, raw_agent(**spec))
        for number, upgrade in enumerate(upgrades):
            twin.put(AGENT_UPGRADE, raw_upgrade(f"upgrade-{number}", **upgrade))
        await rig.until_quiet(patience=seconds)
        return [twin.live(AGENT_UPGRADE, n)["status"]["phase"] for n in twin.names(AGENT_UPGRADE)]

    return in_fake_time(live)


AT_ONCE = {"type": "BlueGreen", "scaleDownDelaySeconds": 900, "abortScaleDownDelaySeconds": 900}
BAD = {"to": {"image": "agent:broken"}, "strategy": AT_ONCE}
GOOD = {"to": {"version": "2.0.0"}, "strategy": AT_ONCE}


def test_an_upgrade_begins_as_soon_as_the_agent_has_started() -> None:
    """Nothing happens in the cluster after that, so nobody else would wake it."""
    assert succeeds(GOOD, seconds=10) == ["Succeeded"]


@pytest.mark.parametrize(
    ("first", "end"), [(GOOD, "Succeeded"), (BAD, "RolledBack")], ids=["succeeds", "fails"]
)
def test_an_upgrade_begins_as_soon_as_the_one_before_has_ended(
    first: dict[str, Any], end: str
) -> None:
    """And not when the pods of the version that lost are removed."""
    assert succeeds(first, GOOD, seconds=10) == [end, "Succeeded"]


def test_a_stopped_agent_follows_its_spec_without_an_upgrade() -> None:
    """Nobody is served; and the children of the new revision are made at once."""
    stopped = changed(SETTLED, replicas=0)

    plan = decide(changed(stopped, replicas=0, image="agent:2"), NOON)

    assert refs(plan, Create) == []
    assert status_of(plan)["stableRevision"] != REVISION
    assert plan.wake_at == NOON


def test_a_deployment_is_looked_at_again_at_its_deadline() -> None:
    """Nothing may happen until then, and that is the point."""
    seen = in_status(observed(), phase=Phase.DEPLOYING, phase_since=NOON)

    assert decide(seen, LATER).wake_at == NOON + timedelta(seconds=600)


def test_a_deadline_that_has_passed_wakes_nobody() -> None:
    """It was told."""
    seen = in_status(observed(), phase=Phase.DEPLOYING, phase_since=NOON)

    assert decide(seen, NOON + timedelta(hours=1)).wake_at is None


def test_an_error_of_a_newer_version_is_not_repeated() -> None:
    """Its reason is unknown here, so what is seen now counts."""
    last = {"reason": "FromTheFuture", "message": "x", "at": NOON}
    before = SETTLED.agent.status.model_validate(
        SETTLED.agent.status.model_dump(by_alias=True) | {"lastError": last, "phase": "Error"}
    )
    one = SETTLED.agent.model_copy(update={"status": before})

    plan = decide(replace(SETTLED, agent=one, replica_sets=DOWN), NOON)

    assert status_of(plan)["phase"] == "Deploying"


def test_pods_that_are_not_ours_to_judge_have_no_fault() -> None:
    """A pod of an older revision may fail while the new one starts."""
    old = {"p": replace(CRASHED["p"], revision="old")}

    assert decide(replace(SETTLED, pods=old), NOON).intents == ()
