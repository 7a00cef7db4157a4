"""The engine as it runs: watches, workers and the cluster side by side, and nothing in step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent
from tests.twin.rig import loop_clock, shared_metrics

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import AGENT, CHILD_KINDS, POD, REPLICA_SET, ROUTE_KINDS, Key, Kind
from agentherd.engine.reflector import Reflector
from agentherd.engine.store import SUBJECT_KINDS, Store

NAMES = ["a", "b", "c"]


class Frame:
    """What kopf does in the real process: it tells the store of what people write."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        self._store.put_subject(kind, raw)

    def drop(self, kind: Kind, key: Key, version: int) -> None:
        self._store.drop_subject(kind, key, version)

    def replace(
        self, kind: Kind, raws: Iterable[Mapping[str, Any]], version: int, namespace: str | None
    ) -> None:
        listed = list(raws)
        alive = {Key("default", r["metadata"]["name"]): r["metadata"]["uid"] for r in listed}
        for raw in listed:
            self._store.put_subject(kind, raw)
        self._store.retain_subjects(kind, alive, version, namespace)


@asynccontextmanager
async def running(twin: Twin, controllers: Controllers) -> AsyncIterator[Rig]:
    """The whole engine, and a cluster that takes a turn four times a second."""
    rig = Rig(twin, controllers=controllers)
    metrics = shared_metrics()
    sinks: list[tuple[Kind, Any, str]] = [(kind, Frame(rig.store), "") for kind in SUBJECT_KINDS]
    sinks += [(kind, rig.store.routes, "") for kind in ROUTE_KINDS]
    ours = "app.kubernetes.io/managed-by=agentherd"
    sinks += [(kind, rig.store, ours) for kind in CHILD_KINDS]

    async def cluster() -> None:
        seen = 0
        while True:
            if twin.version != seen:
                controllers.settle()
            seen = twin.version
            await asyncio.sleep(0.25)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cluster()), group.create_task(rig.reconciler.run(workers=2))]
        for kind, sink, selector in sinks:
            reflector = Reflector(kind, gateway=twin, sink=sink, metrics=metrics, selector=selector)
            tasks.append(group.create_task(reflector.run()))
        yield rig
        for task in tasks:
            task.cancel()


def disturb(twin: Twin, chance: Random) -> None:
    """One thing that people, the cluster or the network do."""
    name = chance.choice(NAMES)
    known = twin.names(AGENT)
    children = [
        (kind, each) for kind in CHILD_KINDS if kind is not POD for each in twin.names(kind)
    ]
    match chance.randrange(7):
        case 0 | 1:
            twin.put(AGENT, wanted(name, chance, twin))
        case 2 if name in known:
            twin.remove(AGENT, name)
        case 3 if children:
            kind, child = chance.choice(children)
            twin.remove(kind, child)
        case 4:
            twin.expire()
        case 5:
            twin.end_watches()
            twin.outages.append(Unreachable("no answer"))
        case _:
            twin.interrupt(twin.writes + 1, "after", Unreachable("connection reset"))


def wanted(name: str, chance: Random, twin: Twin) -> dict[str, Any]:
    spec = {
        "image": chance.choice(["agent:1", "agent:2"]),
        "replicas": chance.randrange(4),
        "operatingMode": chance.choice(["Running", "Running", "Suspended", "Maintenance"]),
        "config": chance.choice([{}, {"a": "1"}]),
        "configUpdate": chance.choice(["Rollout", "InPlace"]),
        "revisionHistoryLimit": 0,
    }
    if name not in twin.names(AGENT):
        return raw_agent(name, metadata={"uid": f"uid-{name}-{twin.version}"}, **spec)
    live = twin.live(AGENT, name)
    return live | {"spec": raw_agent(name, **spec)["spec"]}


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happened_the_end_is_what_the_specs_say(seed: int) -> None:
    """After a minute of trouble and one of peace every Agent is as wanted, and nothing is left."""
    chance = Random(seed)
    twin = Twin(loop_clock)
    controllers = Controllers(twin)

    async with running(twin, controllers) as rig:
        for _ in range(40):
            disturb(twin, chance)
            await asyncio.sleep(chance.random() * 3)
        await asyncio.sleep(60)
        version = twin.version
        await asyncio.sleep(30)
        plans = {name: rig.plan(name).intents for name in twin.names(AGENT)}

    assert twin.version == version
    assert plans == dict.fromkeys(twin.names(AGENT), ())
    assert sizes(twin) == expected_sizes(twin)


def sizes(twin: Twin) -> dict[str, int]:
    """Pods by Agent."""
    found = dict.fromkeys(twin.names(AGENT), 0)
    for raw in twin.all(POD):
        found[raw["metadata"]["labels"]["agentherd.dev/agent"]] += 1
    return found


def expected_sizes(twin: Twin) -> dict[str, int]:
    assert len(twin.names(REPLICA_SET)) == len(twin.names(AGENT))
    return {
        raw["metadata"]["name"]: raw["spec"]["replicas"]
        if raw["spec"]["operatingMode"] != "Suspended"
        else 0
        for raw in twin.all(AGENT)
    }
