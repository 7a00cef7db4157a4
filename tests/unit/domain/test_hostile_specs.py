"""What people write without meaning harm, and what must not follow from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON, agent, pod_view, set_view
from tests.unit.domain.samples import kept

from agentherd.api import Phase
from agentherd.domain.decide import decide
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.faults import Fault
from agentherd.domain.observation import AgentObservation, Dependency
from agentherd.domain.plan import Apply, Delete, Plan, Scale, WriteStatus
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.template import (
    check,
    container_ports,
    pod_template,
    probed_paths,
    probed_port,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ("env", "ports", "volumeMounts", "lifecycle", "readinessProbe")

WORD = st.sampled_from(["agent", "http", "AGENTHERD_AGENT", "TCP", "/", ""]) | JSON
OBJECT = st.dictionaries(
    st.sampled_from(["name", "containerPort", "protocol", "value", "httpGet", "path", "preStop"]),
    WORD | st.dictionaries(st.sampled_from(["path", "port", "name"]), WORD, max_size=2),
    max_size=3,
)
LISTS = st.lists(OBJECT, max_size=2) | JSON
PROBE = OBJECT | JSON
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("agent") | WORD,
        "env": LISTS,
        "ports": LISTS,
        "volumeMounts": LISTS,
        "lifecycle": PROBE,
        "livenessProbe": PROBE,
        "readinessProbe": PROBE,
    },
)
TEMPLATE = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(CONTAINER, min_size=1, max_size=2)}, optional={"volumes": LISTS}
        )
    },
    optional={"metadata": st.dictionaries(st.sampled_from(["labels", "name"]), OBJECT) | JSON},
)


def template(**container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "agent", "image": "i"} | container]}}


def status_of(plan: Plan) -> dict[str, Any]:
    return next(dict(i.status) for i in plan.intents if isinstance(i, WriteStatus))


@given(st.sampled_from(FIELDS), JSON, JSON)
def test_no_template_that_is_admitted_is_a_bug(field: str, value: Any, volumes: Any) -> None:
    """The schema checks little of a template; whatever gets through ends in a status."""
    written = template(**{field: value})
    written["spec"]["volumes"] = volumes
    spec = {"config": {"a": "1"}, "drain": {"delaySeconds": 5}, "template": written}

    plan = decide(AgentObservation(agent=agent(**spec)), NOON)

    assert status_of(plan)["phase"] in {"Deploying", "Error"}


@given(TEMPLATE)
def test_what_passes_the_check_can_be_read(written: dict[str, Any]) -> None:
    """Of all that looks like a template: it is refused in words, or it becomes pods."""
    made = agent(config={"a": "1"}, drain={"delaySeconds": 5}, template=written)
    metrics = made.spec.metrics
    with suppress(InvalidTemplate, TemplateConflict):
        check(written)
        pod_template(made, revision_of(made.spec))
        container_ports(written)
        probed_port(written, "http")

        assert sorted(probed_paths(written) | {metrics.path if metrics else "/metrics"})


@pytest.mark.parametrize(
    "container",
    [
        {"name": None},
        {"name": ""},
        {"name": 5},
        {"env": [{"name": {}}]},
        {"livenessProbe": {"httpGet": {"path": []}}},
        {"livenessProbe": "x"},
        {"ports": ["x"]},
        {"ports": {"a": 1}},
        {"ports": [{"containerPort": 53, "protocol": 5}]},
        {"env": "foo"},
        {"env": ["foo"]},
        {"lifecycle": "x"},
    ],
)
def test_a_malformed_template_is_told_and_nothing_is_made(container: dict[str, Any]) -> None:
    """The message names the place."""
    plan = decide(AgentObservation(agent=agent(template=template(**container))), NOON)

    status = status_of(plan)
    assert status["lastError"]["reason"] == Reason.INVALID_TEMPLATE
    assert "spec.template.spec.containers[0]" in status["lastError"]["message"]
    assert not [intent for intent in plan.intents if isinstance(intent, Apply)]


def test_starting_pods_are_not_stopped_by_a_dependency() -> None:
    """After a restart a dependency may be seen later than the Agent that has started already."""
    one = agent(dependsOn=["other"])
    target = revision_of(one.spec).hash
    view = set_view(target, wanted=1, replicas=1, ready=0, available=0)
    seen = AgentObservation(
        agent=one,
        replica_sets={view.name: view},
        dependencies=(Dependency("other", exists=False, available=False),),
    )

    plan = decide(seen, NOON)

    assert not [intent for intent in plan.intents if isinstance(intent, Scale)]


def test_time_spent_waiting_is_no_progress_time() -> None:
    """The deadline counts from the moment at which the dependencies are there."""
    one = agent(dependsOn=["other"], progressDeadlineSeconds=10)
    missing = AgentObservation(
        agent=one, dependencies=(Dependency("other", exists=True, available=False),)
    )
    waiting = decide(missing, NOON)
    status = one.status.model_validate(status_of(waiting))
    there = (Dependency("other", exists=True, available=True),)
    seen = replace(missing, agent=one.model_copy(update={"status": status}), dependencies=there)

    plan = decide(seen, NOON + timedelta(minutes=5))

    assert status_of(plan)["phase"] == Phase.DEPLOYING
    assert plan.wake_at == NOON + timedelta(minutes=5, seconds=10)


def test_a_new_template_has_the_whole_deadline() -> None:
    """What the attempt before it has used up does not count."""
    first = agent(progressDeadlineSeconds=10)
    status = first.status.model_validate(status_of(decide(AgentObservation(agent=first), NOON)))
    second = agent(progressDeadlineSeconds=10, version="9.9.9", metadata={"generation": 2})
    seen = AgentObservation(agent=second.model_copy(update={"status": status}))

    plan = decide(seen, NOON + timedelta(seconds=8))

    assert plan.wake_at == NOON + timedelta(seconds=18)


def test_an_evicted_pod_keeps_nobody_from_going_offline() -> None:
    """Its record stays for as long as the garbage collector likes."""
    one = agent(operatingMode="Offline")
    pod = pod_view("evicted", ready=False, finished=True, fault=Fault(Reason.CRASHING, "evicted"))

    plan = decide(AgentObservation(agent=one, pods={pod.name: pod}), NOON)

    assert status_of(plan)["phase"] == Phase.OFFLINE


def test_the_account_stays_while_another_revision_runs_on_it() -> None:
    """A change to an account of one's own may fail, and then the old pods need theirs."""
    before = agent()
    stable = revision_of(before.spec).hash
    status = before.status.model_copy(update={"stable_revision": stable})
    after = agent(template=template() | {"spec": template()["spec"] | {"serviceAccountName": "x"}})
    view = set_view(stable, wanted=1, replicas=1, ready=1, available=1)
    account = pod_view("agentherd-greeter")
    record = kept(before)
    seen = AgentObservation(
        agent=after.model_copy(update={"status": status}),
        replica_sets={view.name: view},
        revisions={record.name: record},
        service_accounts={account.name: account},
    )

    plan = decide(seen, NOON)

    assert not [intent for intent in plan.intents if isinstance(intent, Delete)]
