"""The engine as it runs: watches, workers and the cluster side by side, and nothing in step."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from random import seed as seed_jitter
from typing import Any

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent, raw_upgrade
from tests.twin.rig import loop_clock, shared_metrics

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
    ROUTE_KINDS,
    SERVICE,
    Key,
    Kind,
)
from agentherd.engine.reflector import Reflector
from agentherd.engine.store import SUBJECT_KINDS, Store

NAMES = ["a", "b", "c"]
QUICK = {"scaleDownDelaySeconds": 2, "abortScaleDownDelaySeconds": 2}
POLICIES: list[dict[str, Any]] = [
    {"canary": {"steps": [{"weight": 20}, {"weight": 50, "pause": {"seconds": 2}}]}} | QUICK,
    {"type": "BlueGreen"} | QUICK,
    {"type": "RollingUpdate", "scaleDownDelaySeconds": 0},
    {"canary": {"steps": [{"weight": 50, "pause": {"seconds": 20}}]}},
]
WAYS: list[dict[str, Any]] = [
    {},
    {"traffic": {"parentRefs": [{"name": "gate"}]}},
    {"traffic": {"routeRef": {"name": "shared"}}},
]


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
            reflector = Reflector(kind, cluster=twin, sink=sink, metrics=metrics, selector=selector)
            tasks.append(group.create_task(reflector.run()))
        yield rig
        for task in tasks:
            task.cancel()


def disturb(twin: Twin, chance: Random) -> None:
    """One thing that people, the cluster or the network do."""
    name = chance.choice(NAMES)
    known = twin.names(AGENT)
    children = [
        (kind, each)
        for kind in (*CHILD_KINDS, HTTP_ROUTE)
        for each in twin.names(kind)
        if kind is not POD and each != "shared"
    ]
    match chance.randrange(10):
        case 0 | 1 | 2:
            twin.put(AGENT, wanted(name, chance, twin))
        case 3 if name in known:
            twin.remove(AGENT, name)
        case 4 if children:
            kind, child = chance.choice(children)
            twin.remove(kind, child)
        case 5:
            twin.expire()
        case 6:
            twin.end_watches()
            twin.outages.append(Unreachable("no answer"))
        case 7:
            steer(twin, chance)
        case 8:
            change = chance.choice([{"image": "agent:3"}, {"config": {"b": "2"}}])
            uid = f"uid-by-hand-{twin.version}"
            if "by-hand" not in twin.names(AGENT_UPGRADE):
                twin.put(
                    AGENT_UPGRADE,
                    raw_upgrade(
                        "by-hand", metadata={"uid": uid}, targetRef={"name": name}, to=change
                    ),
                )
        case _:
            twin.interrupt(twin.writes + 1, "after", Unreachable("connection reset"))


def steer(twin: Twin, chance: Random) -> None:
    """What a person may do to an upgrade."""
    if not (upgrades := twin.names(AGENT_UPGRADE)):
        return
    name = chance.choice(upgrades)
    attempt = twin.live(AGENT_UPGRADE, name)["spec"].get("attempt", 1)
    spec = chance.choice(
        [
            {"paused": True},
            {"paused": False},
            {"promote": {"full": True}},
            {"promote": {"step": 1}},
            {"rollback": {"requested": True}},
            {"rollback": None, "attempt": attempt + 1},
            None,
        ]
    )
    if spec is None:
        twin.remove(AGENT_UPGRADE, name)
    else:
        twin.edit(AGENT_UPGRADE, name, {"spec": spec})


def wanted(name: str, chance: Random, twin: Twin) -> dict[str, Any]:
    sick = chance.random() < 0.2  # then it has pods, or it would be stable without having served
    spec = {
        "image": "agent:sick" if sick else chance.choice(["agent:1", "agent:2"]),
        "replicas": chance.randrange(sick, 4),
        "operatingMode": chance.choice(["Running"] * 3 + ["Maintenance", "Suspended"][: 2 - sick]),
        "config": chance.choice([{}, {"a": "1"}]),
        "configUpdate": chance.choice(["Rollout", "InPlace"]),
        "revisionHistoryLimit": 0,
        "upgradePolicy": chance.choice(POLICIES),
        **chance.choice(WAYS),
    }
    if name not in twin.names(AGENT):
        return raw_agent(name, metadata={"uid": f"uid-{name}-{twin.version}"}, **spec)
    live = twin.live(AGENT, name)
    return live | {"spec": raw_agent(name, **spec)["spec"]}


def shared_route() -> dict[str, Any]:
    """A route that a person wrote, through which all Agents are served."""
    rules = [{"backendRefs": [{"name": name, "port": 8080, "weight": 1}]} for name in NAMES]
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": "HTTPRoute",
        "metadata": {"name": "shared", "namespace": "default"},
        "spec": {"rules": rules},
    }


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happened_the_end_is_what_the_specs_say(seed: int) -> None:
    """After a minute of trouble and some of peace all is as wanted, and nothing is left over."""
    chance = Random(seed)
    seed_jitter(seed)
    twin = Twin(loop_clock)
    controllers = Controllers(twin)
    controllers.sick_images["agent:sick"] = "ImagePullBackOff"
    twin.put(HTTP_ROUTE, shared_route())

    async with running(twin, controllers) as rig:
        for _ in range(40):
            disturb(twin, chance)
            await asyncio.sleep(chance.random() * 3)
        for name in twin.names(AGENT_UPGRADE):
            twin.edit(AGENT_UPGRADE, name, {"spec": {"paused": False}})
        await asyncio.sleep(240)
        version = twin.version
        await asyncio.sleep(30)
        plans = {name: rig.plan(name).intents for name in twin.names(AGENT)}

    assert twin.version == version
    assert plans == dict.fromkeys(twin.names(AGENT), ())
    assert pods(twin) == expected_pods(twin)
    assert set(twin.names(REPLICA_SET)) == expected_sets(twin)
    assert set(twin.names(SERVICE)) == {*twin.names(AGENT), *previews(twin)}
    assert set(twin.names(HTTP_ROUTE)) == {"shared", *owners_of_routes(twin)}
    assert twin.live(HTTP_ROUTE, "shared")["spec"] == shared_route()["spec"]


def pods(twin: Twin) -> Counter[str]:
    """Pods in traffic by Agent and revision."""
    labels = [raw["metadata"]["labels"] for raw in twin.all(POD)]
    return Counter(
        f"{each['agentherd.dev/agent']}-{each['agentherd.dev/revision']}"
        for each in labels
        if each["agentherd.dev/traffic"] == "on"
    )


def serving(raw: Mapping[str, Any]) -> str:
    """The revision that serves, or is to serve first."""
    status = raw["status"]
    return f"{raw['metadata']['name']}-{status.get('stableRevision', status['targetRevision'])}"


def expected_pods(twin: Twin) -> Counter[str]:
    return +Counter(
        {
            serving(raw): raw["spec"]["replicas"]
            for raw in twin.all(AGENT)
            if raw["spec"]["operatingMode"] != "Suspended"
        }
    )


def governing(twin: Twin) -> dict[str, dict[str, Any]]:
    """The status of the upgrade that governs an Agent, by the Agent's name."""
    known = {raw["metadata"]["name"]: raw.get("status", {}) for raw in twin.all(AGENT_UPGRADE)}
    found = {raw["metadata"]["name"]: raw["status"].get("upgrade", "") for raw in twin.all(AGENT)}
    return {name: known[upgrade] for name, upgrade in found.items() if upgrade in known}


def expected_sets(twin: Twin) -> set[str]:
    """What serves; and what was given up or waits, as long as somebody asks for it."""
    asked = {f"{a['metadata']['name']}-{a['status']['targetRevision']}" for a in twin.all(AGENT)}
    asked |= {
        f"{name}-{status['toRevision']}"
        for name, status in governing(twin).items()
        if status["phase"] in {"RolledBack", "Paused"}
    }
    return {serving(raw) for raw in twin.all(AGENT)} | (asked & set(twin.names(REPLICA_SET)))


def previews(twin: Twin) -> set[str]:
    """The addresses of versions whose upgrade waits until their Agent has pods again."""
    stopped = {name: s for name, s in governing(twin).items() if s["phase"] == "Paused"}
    names = {f"{name}-{status['toRevision']}" for name, status in stopped.items()}
    return names & set(twin.names(SERVICE))


def owners_of_routes(twin: Twin) -> set[str]:
    return {
        raw["metadata"]["name"]
        for raw in twin.all(AGENT)
        if "parentRefs" in raw["spec"].get("traffic", {})
    }


async def test_upgrades_that_wait_for_each_other_say_so_until_one_lets_go() -> None:
    """All of them do, although none of their own Agents has changed."""
    twin = Twin(loop_clock)
    change = {"image": "agent:2"}
    follows = dict(zip(NAMES, [*NAMES[1:], NAMES[0]], strict=True))

    async with running(twin, Controllers(twin)):
        for name, needed in follows.items():
            twin.put(AGENT, raw_agent(name, upgradePolicy={"type": "BlueGreen"}))
            target = {"targetRef": {"name": name}}
            upgrade = raw_upgrade(f"to-{name}", **target, to=change, dependsOn=[f"to-{needed}"])
            twin.put(AGENT_UPGRADE, upgrade)
        await asyncio.sleep(60)
        told = reasons(twin)
        twin.edit(AGENT_UPGRADE, "to-b", {"spec": {"dependsOn": []}})
        await asyncio.sleep(60)

    assert told == {f"to-{name}": ("Pending", "DependencyCycle") for name in NAMES}
    assert reasons(twin) == {f"to-{name}": ("Succeeded", "UpgradeSucceeded") for name in NAMES}


def reasons(twin: Twin) -> dict[str, tuple[str, str]]:
    """The phase of each upgrade, and the reason for it."""
    found = {}
    for raw in twin.all(AGENT_UPGRADE):
        conditions = {c["type"]: c["reason"] for c in raw["status"]["conditions"]}
        found[raw["metadata"]["name"]] = (raw["status"]["phase"], conditions["Progressing"])
    return found
