"""Killed at any write and started again, the operator reaches the state it would have reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.twin import Controllers, Killed, Rig, Twin, in_fake_time, raw_agent
from tests.twin.cluster import When
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import AGENT, CHILD_KINDS, EVENT, POD, Kind

CHANGE_TEMPLATE = {
    "template": {"spec": {"containers": [{"name": "agent", "image": "agent:2"}]}},
    "version": "2.0.0",
}
LIFE: tuple[Callable[[Twin], object], ...] = (
    lambda twin: twin.put(
        AGENT, raw_agent(replicas=2, version="1.0.0", config={"a": "1"}, revisionHistoryLimit=0)
    ),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": CHANGE_TEMPLATE}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"replicas": 3}}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"configUpdate": "InPlace"}}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"config": {"a": "2"}}}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"operatingMode": "Offline"}}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"operatingMode": "Running"}}),
    lambda twin: twin.edit(AGENT, "greeter", {"spec": {"replicas": 1}}),
)
"""Every kind of write occurs: create, promote, forget, scale, reload, stop, start, delete."""

OTHERS = ("uid", "resourceVersion", "managedFields", "creationTimestamp", "generation")
TIMES = ("at", "phaseSince", "lastTransitionTime", "startedAt", "observedGeneration")


async def live(twin: Twin) -> None:
    """Go through the life; killed, go on with a new process."""
    rig = Rig(twin)
    for step in LIFE:
        step(twin)
        try:
            await rig.until_quiet()
        except Killed:
            rig.reconciler.queue.close()
            rig = Rig(twin)
            await rig.until_quiet()


def normalised(value: Any) -> Any:
    """An object without what differs between two runs that did the same."""
    if isinstance(value, dict):
        return {k: normalised(v) for k, v in value.items() if k not in (*OTHERS, *TIMES)}
    if isinstance(value, list):
        return [normalised(each) for each in value]
    return value


def state(twin: Twin, kinds: tuple[Kind, ...] = (AGENT, *CHILD_KINDS)) -> Any:
    return {kind.name: [normalised(raw) for raw in twin.all(kind)] for kind in kinds}


def tellings(twin: Twin) -> Counter[str]:
    """How often each reason was told: an Event that is repeated counts its repetitions."""
    told: Counter[str] = Counter()
    for event in twin.all(EVENT):
        told[event["reason"]] += event.get("series", {}).get("count", 1)
    return told


async def undisturbed() -> Twin:
    twin = Twin(loop_clock)
    await live(twin)
    return twin


UNDISTURBED: Twin = in_fake_time(undisturbed)
KILLS = [
    pytest.param(number, when, id=f"{when} write {number}")
    for number in range(1, UNDISTURBED.writes + 1)
    for when in ("before", "after")
]


def test_the_life_without_a_kill_contains_every_kind_of_write() -> None:
    """What is killed below is the whole of what the operator writes."""
    verbs = {(r.verb, r.kind.name) for r in UNDISTURBED.requests}

    assert verbs >= {
        ("APPLY", "Service"),
        ("APPLY", "ReplicaSet"),
        ("APPLY", "ConfigMap"),
        ("APPLY", "ControllerRevision"),
        ("APPLY", "PodDisruptionBudget"),
        ("APPLY", "ServiceAccount"),
        ("APPLY_STATUS", "Agent"),
        ("CREATE", "Event"),
        ("DELETE", "ConfigMap"),
        ("DELETE", "ControllerRevision"),
        ("DELETE", "PodDisruptionBudget"),
        ("DELETE", "ReplicaSet"),
        ("DELETE", "Service"),
        ("PATCH", "Pod"),
    }


@pytest.mark.parametrize(("number", "when"), KILLS)
async def test_a_kill_at_any_write_changes_nothing_about_the_end(number: int, when: When) -> None:
    """The same objects, the same history, nothing told twice, and no orphan when it is deleted."""
    twin = Twin(loop_clock)
    twin.interrupt(number, when, Killed())

    await live(twin)
    end, told = state(twin), tellings(twin)
    twin.remove(AGENT, "greeter")
    Controllers(twin).collect()
    await Rig(twin).until_quiet()

    assert end == state(UNDISTURBED)
    assert told <= tellings(UNDISTURBED)
    assert [kind.name for kind in CHILD_KINDS if twin.names(kind)] == []


@pytest.mark.parametrize("number", range(1, UNDISTURBED.writes + 1))
async def test_an_answer_that_is_lost_changes_nothing_about_the_end(number: int) -> None:
    """The write took place and nobody knows; the same process goes on and finds out."""
    twin = Twin(loop_clock)
    twin.interrupt(number, "after", Unreachable("connection reset"))

    await live(twin)

    assert state(twin) == state(UNDISTURBED)
    assert tellings(twin) <= tellings(UNDISTURBED)


async def test_every_pod_belongs_to_the_last_revision_in_the_end() -> None:
    """The life ends with one pod, of the third revision."""
    assert UNDISTURBED.names(POD) == [f"greeter-{last_revision()}-0"]


def last_revision() -> str:
    revision: str = UNDISTURBED.live(AGENT, "greeter")["status"]["stableRevision"]
    return revision
