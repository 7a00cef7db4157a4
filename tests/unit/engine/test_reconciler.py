"""The loop: take a key, observe, decide, apply; what is refused waits, what fails comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from tests.twin import Rig, Twin, agent, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Conflict, Forbidden, Invalid, Unreachable
from agentherd.domain.kinds import (
    AGENT,
    CANARY_ANNOTATION,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
    REVISION_LABEL,
    SERVICE,
    Key,
)
from agentherd.domain.plan import Plan
from agentherd.domain.revision import revision_of
from agentherd.engine.applier import Applier
from agentherd.engine.metrics import Metrics
from agentherd.engine.observe import Seen
from agentherd.engine.reconciler import (
    FORBIDDEN_RETRY,
    GATHER_SECONDS,
    LAST_RETRY,
    REFUSED_RETRY,
    REPEATED,
    Reconciler,
)
from agentherd.engine.recorder import Recorder

GREETER = Key("default", "greeter")


@asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[None]:
    """Its own workers at work; the test feeds it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rig.reconciler.run(workers=2))
        yield
        task.cancel()


async def fed(rig: Rig, seconds: float = 0.1) -> None:
    rig.feed()
    await asyncio.sleep(seconds)


def phase(twin: Twin) -> str | None:
    found: str | None = twin.live(AGENT, "greeter").get("status", {}).get("phase")
    return found


def ready(twin: Twin) -> dict[str, Any]:
    conditions = twin.live(AGENT, "greeter")["status"]["conditions"]
    return next(c for c in conditions if c["type"] == "Ready")


def tries(twin: Twin, kind: str) -> int:
    return sum(r.kind.name == kind and r.verb == "APPLY" for r in twin.requests)


async def test_an_agent_is_brought_to_what_its_spec_says(rig: Rig, twin: Twin) -> None:
    """With its own workers, from nothing to Online."""
    async with working(rig):
        twin.put(AGENT, raw_agent(replicas=2))
        for _ in range(3):
            await fed(rig)
            rig.controllers.settle()

    assert phase(twin) == "Online"


async def test_who_wants_to_be_asked_again_at_once_lets_others_work(rig: Rig, twin: Twin) -> None:
    """Where nothing was written the same is decided again, and no worker waits for anything."""
    asked: list[datetime] = []

    def decide(_: Seen, now: datetime) -> Plan:
        asked.append(now)
        return Plan.of([], wake_at=now if len(asked) < 1000 else None)

    reconciler: Reconciler[Seen] = Reconciler(
        AGENT,
        observe=rig.observe,
        decide=decide,
        applier=Applier(
            cluster=twin, store=rig.store, recorder=Recorder(twin, identity="", clock=loop_clock)
        ),
        measurements=rig.pods,
        metrics=Metrics(),
        clock=loop_clock,
    )
    twin.put(AGENT, raw_agent())
    rig.feed()
    reconciler.queue.add(GREETER)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reconciler.run(workers=1))
        await asyncio.sleep(10.5)
        task.cancel()

    assert len(asked) == 11


async def test_an_agent_that_is_gone_is_forgotten(rig: Rig, twin: Twin) -> None:
    """There is nothing to do for it."""
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()
    twin.remove(AGENT, "greeter")
    twin.requests.clear()

    await rig.until_quiet()

    assert twin.requests == []


# Refused writes


async def test_a_refused_write_is_told_in_the_status(rig: Rig, twin: Twin) -> None:
    """At once, with the server's own words."""
    twin.refusals["ReplicaSet", first_set()] = Invalid("spec.x: unknown field")
    twin.put(AGENT, raw_agent())

    rig.feed()
    await rig.work()

    assert phase(twin) == "Error"
    assert ready(twin)["reason"] == "InvalidTemplate"
    assert "spec.x: unknown field" in ready(twin)["message"]


def first_set() -> str:

    return f"greeter-{revision_of(agent().spec).hash}"


@pytest.mark.parametrize(
    ("error", "retry"),
    [(Forbidden("no"), FORBIDDEN_RETRY), (Invalid("no"), REFUSED_RETRY)],
    ids=["forbidden", "invalid"],
)
async def test_a_refused_write_is_tried_again_when_it_is_due(
    rig: Rig, twin: Twin, error: Exception, retry: Any
) -> None:
    """Not on each event, which would be a storm; and not never."""
    twin.refusals["Service", "greeter"] = error  # type: ignore[assignment]
    twin.put(AGENT, raw_agent())
    async with working(rig):
        await fed(rig)
        for number in range(10):
            twin.edit(AGENT, "greeter", {"metadata": {"labels": {"n": str(number)}}})
            await fed(rig)
        early = tries(twin, "Service")
        await asyncio.sleep(retry.total_seconds())
        late = tries(twin, "Service")

    assert (early, late) == (1, 2)


async def test_nothing_is_called_ready_of_which_a_part_is_refused(rig: Rig, twin: Twin) -> None:
    """Not for a moment either: somebody may wait for just that."""
    config = {"a": "1"}
    name = f"greeter-{revision_of(agent(config=config).spec).hash}"
    twin.refusals["ConfigMap", name] = Forbidden("no")
    twin.put(AGENT, raw_agent(replicas=0, config=config))

    rig.feed()
    await rig.work()

    statuses = [r.body["status"] for r in twin.requests if r.verb == "APPLY_STATUS" and r.body]
    assert [status["phase"] for status in statuses] == ["Error"]


async def test_two_refusals_do_not_take_turns_in_the_status(rig: Rig, twin: Twin) -> None:
    """Where one keeps the other from being tried, that is as good as refused still."""
    twin.refusals["Service", "greeter"] = Forbidden("exceeded quota")
    twin.refusals["ReplicaSet", first_set()] = Forbidden("no")
    twin.put(AGENT, raw_agent())
    rig.feed()
    await rig.work()
    before = twin.live(AGENT, "greeter")["metadata"]["resourceVersion"]

    await rig.live(seconds=4 * int(FORBIDDEN_RETRY.total_seconds()))

    assert tries(twin, "ReplicaSet") > 3
    assert twin.live(AGENT, "greeter")["metadata"]["resourceVersion"] == before


async def test_a_route_of_nobody_that_cannot_be_freed_is_tried_again_when_it_is_due(
    rig: Rig, twin: Twin
) -> None:
    """The Agent is gone, and nothing else is left of it that would say so."""
    twin.refusals["HTTPRoute", "shop"] = Forbidden("no")
    backends = [{"name": name, "port": 80} for name in ("greeter", "greeter-0123456789")]
    metadata = {"namespace": "default", "annotations": {CANARY_ANNOTATION: "greeter"}}
    rules = [{"backendRefs": backends}]
    twin.put(HTTP_ROUTE, {"metadata": {"name": "shop"} | metadata, "spec": {"rules": rules}})

    rig.feed()
    await rig.work()
    early = len(twin.requests)
    await asyncio.sleep(FORBIDDEN_RETRY.total_seconds())
    await rig.work()

    assert (early, len(twin.requests)) == (1, 2)


async def test_a_refusal_is_forgotten_when_the_spec_changes(rig: Rig, twin: Twin) -> None:
    """What was wrong then may be right now."""
    twin.refusals["Service", "greeter"] = Invalid("no")
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()
    twin.refusals.clear()

    twin.edit(AGENT, "greeter", {"spec": {"replicas": 2}})
    await rig.until_quiet()

    assert phase(twin) == "Online"
    assert twin.names(SERVICE) == ["greeter"]


async def test_a_refusal_is_forgotten_when_the_agent_is_made_anew(rig: Rig, twin: Twin) -> None:
    """Its first spec has the same generation as that of the one before, and nothing else of it."""
    twin.refusals["ReplicaSet", first_set()] = Invalid("no such image")
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()

    twin.remove(AGENT, "greeter")
    twin.put(AGENT, raw_agent(image="agent:2", metadata={"uid": "uid-anew"}))
    await rig.until_quiet()

    assert (phase(twin), ready(twin)["status"]) == ("Online", "True")


async def test_a_refusal_that_is_over_is_forgotten(rig: Rig, twin: Twin) -> None:
    """The quota was raised; nobody has to touch the Agent."""
    twin.refusals["Service", "greeter"] = Forbidden("exceeded quota")
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()
    told = ready(twin)["reason"]
    twin.refusals.clear()

    await asyncio.sleep(FORBIDDEN_RETRY.total_seconds())
    await rig.until_quiet()

    assert told == "QuotaExceeded"
    assert phase(twin) == "Online"


async def test_a_refusal_of_what_is_not_wanted_any_more_is_forgotten(rig: Rig, twin: Twin) -> None:
    """Nobody would ever try it again, and the Agent would be in error until its spec changes."""
    twin.put(AGENT, raw_agent(replicas=1))
    await rig.until_quiet()
    twin.put(POD, loose_pod(twin))
    twin.refusals["Pod", "loose"] = Forbidden("a policy keeps it as it is")
    await rig.until_quiet()
    told = phase(twin)

    twin.remove(POD, "loose")
    await asyncio.sleep(FORBIDDEN_RETRY.total_seconds())
    await rig.until_quiet()

    assert told == "Error"
    assert phase(twin) == "Online"


def loose_pod(twin: Twin) -> dict[str, Any]:
    """A pod that somebody has taken out of its ReplicaSet to look at it."""
    found = twin.all(POD)[0]
    labels = found["metadata"]["labels"] | {REVISION_LABEL: "looked-at"}
    metadata = {"name": "loose", "namespace": "default", "labels": labels}
    return {**found, "metadata": metadata}


# Failures


@pytest.mark.parametrize("error", [Unreachable("no answer"), Conflict("changed")])
async def test_what_failed_is_tried_again(rig: Rig, twin: Twin, error: Exception) -> None:
    """By itself, without an event."""
    twin.interrupt(2, "before", error)
    twin.put(AGENT, raw_agent())

    async with working(rig):
        await fed(rig, 1)

    assert twin.names(REPLICA_SET) == [first_set()]


async def test_what_fails_on_and_on_is_tried_less_and_less_often(rig: Rig, twin: Twin) -> None:
    """And at least every ten seconds."""
    twin.refusals["Agent", "greeter"] = Unreachable("no answer")
    twin.put(AGENT, raw_agent())

    async with working(rig):
        await fed(rig, 100)
        before = len(twin.requests)
        await asyncio.sleep(100)
        per_try = 1

    tried = (len(twin.requests) - before) / per_try
    assert 100 / LAST_RETRY <= tried <= 2 * 100 / LAST_RETRY + 1


async def test_the_patience_that_the_server_asks_for_is_kept(rig: Rig, twin: Twin) -> None:
    """429 says when to come back."""
    twin.interrupt(1, "before", Unreachable("overloaded", retry_after=30))
    twin.put(AGENT, raw_agent())

    async with working(rig):
        await fed(rig, 29)
        early = phase(twin)
        await asyncio.sleep(2)

    assert early is None
    assert phase(twin) == "Deploying"


async def test_the_log_does_not_repeat_itself_at_every_try(
    rig: Rig, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """Measurements ask for an Agent once a second, and each is another try."""
    caplog.set_level("INFO")
    twin.put(AGENT, raw_agent())

    async with working(rig):
        for words in ("no", "never"):
            twin.refusals["Agent", "greeter"] = Invalid(words)
            await fed(rig)
            for _ in range(int(REPEATED / 2)):
                rig.reconciler.queue.add(GREETER)
                await asyncio.sleep(1)
        soon = list(caplog.messages)
        await asyncio.sleep(2 * REPEATED)
        late = caplog.messages[len(soon) :]

    assert [message.rpartition(", again within")[0] for message in soon] == [
        "Agent default/greeter: the status is refused: no",
        "Agent default/greeter: the status is refused: never",
    ]
    assert 1 <= len(late) <= 2


async def test_a_bug_met_on_one_object_does_not_cost_the_others(
    rig: Rig, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told with its traceback, and tried again."""
    twin.interrupt(1, "before", ZeroDivisionError("a bug"))
    twin.put(AGENT, raw_agent("a"))
    twin.put(AGENT, raw_agent("b"))

    async with working(rig):
        await fed(rig, 2)

    assert twin.live(AGENT, "b")["status"]["phase"] == "Deploying"
    assert "cannot reconcile Agent default/a" in caplog.text
    assert "ZeroDivisionError" in caplog.text


# News that may wait


async def test_counters_are_gathered(rig: Rig, twin: Twin) -> None:
    """Ten pods that become ready one by one are not ten writes."""
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()
    name, before = first_set(), tries_of_status(twin)

    async with working(rig):
        for count in range(2, 12):
            twin.edit(REPLICA_SET, name, {"status": {"readyReplicas": count}})
            await fed(rig, 0.2)
        early = tries_of_status(twin) - before
        await asyncio.sleep(GATHER_SECONDS)
        late = tries_of_status(twin) - before

    assert (early, late) == (0, 1)
    assert twin.live(AGENT, "greeter")["status"]["readyReplicas"] == 11


async def test_news_that_matter_do_not_wait(rig: Rig, twin: Twin) -> None:
    """They take along what was gathered."""
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()
    name, before = first_set(), tries_of_status(twin)

    async with working(rig):
        twin.edit(REPLICA_SET, name, {"status": {"readyReplicas": 3}})
        await fed(rig)
        twin.edit(REPLICA_SET, name, {"status": {"availableReplicas": 0}})
        await fed(rig)
        at_once = tries_of_status(twin) - before
        await asyncio.sleep(2 * GATHER_SECONDS)

    assert at_once == 1
    assert tries_of_status(twin) - before == 1


def tries_of_status(twin: Twin) -> int:
    return sum(request.verb == "APPLY_STATUS" for request in twin.requests)


async def test_a_settled_agent_costs_no_request(rig: Rig, twin: Twin) -> None:
    """Also not when it is looked at for nothing."""
    twin.put(AGENT, raw_agent(replicas=2, config={"a": "1"}))
    await rig.until_quiet()
    twin.requests.clear()

    rig.reconciler.queue.add(GREETER)
    await rig.until_quiet()

    assert twin.requests == []


async def test_an_agent_until_ready_costs_one_write_per_child_and_two_of_status(
    rig: Rig, twin: Twin
) -> None:
    """The first status before the pods, the second when they are there."""
    twin.put(AGENT, raw_agent(replicas=2, config={"a": "1"}))

    await rig.until_quiet()

    writes = sorted(r.kind.name for r in twin.requests if r.verb.startswith("APPLY"))
    assert writes == [
        "Agent",
        "Agent",
        "ConfigMap",
        "ControllerRevision",
        "PodDisruptionBudget",
        "ReplicaSet",
        "Service",
        "ServiceAccount",
    ]


async def test_transitions_are_counted(twin: Twin) -> None:
    """By the phase that was entered, with the time they took."""
    metrics = Metrics()
    rig = Rig(twin, metrics=metrics)
    twin.put(AGENT, raw_agent())

    await rig.until_quiet()

    labels = {"kind": "Agent", "phase": "Online"}
    value = metrics.registry.get_sample_value("agentherd_transitions_total", labels)
    assert value == 1


async def test_the_deadline_of_a_deployment_is_kept_by_itself(rig: Rig, twin: Twin) -> None:
    """Nothing happens, and that is told in time."""
    rig.controllers.sick_images["agent:1"] = ""
    twin.put(AGENT, raw_agent(progressDeadlineSeconds=60))
    await rig.until_quiet()

    async with working(rig):
        await asyncio.sleep(61)

    assert phase(twin) == "Error"
    assert ready(twin)["reason"] == "ProgressDeadlineExceeded"


# Measurements


async def test_both_sides_of_an_upgrade_are_measured_while_it_runs(rig: Rig, twin: Twin) -> None:
    """And nobody's pods when it is over, or the Agent gone."""
    policy = {"canary": {"steps": [{"weight": 50, "pause": {}}]}, "scaleDownDelaySeconds": 1}
    twin.put(AGENT, raw_agent(replicas=2, metrics={}, upgradePolicy=policy))
    await rig.until_quiet()
    settled = rig.pods.followed[GREETER]

    twin.edit(
        AGENT, "greeter", {"spec": {"template": raw_agent(image="agent:2")["spec"]["template"]}}
    )
    await rig.until_quiet()
    halfway = rig.pods.followed[GREETER]
    pods = {raw["metadata"]["uid"] for raw in twin.all(POD)}
    twin.remove(AGENT, "greeter")
    rig.controllers.collect()
    await rig.until_quiet()

    assert settled == ()
    assert {target.uid for target in halfway} == pods
    assert rig.pods.followed[GREETER] == ()
