"""Whatever a person gets wrong is told within five seconds, and costs nobody else anything.

While each mistake is made, 50 other Agents are created beside it; all of them have to get to where
they are wanted. Once a mistake is told the operator is quiet: it does not try again and again.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Self

import pytest
from tests.e2e.cluster import Object, Refused
from tests.e2e.fleet import each, names, podless, wait_until_settled
from tests.e2e.sample import agent, template
from tests.e2e.world import START, World, condition, observed

TOLD_WITHIN: Final = 5.0
"""Seconds, on a machine that brings the 50 others to their end in half of that time; else twice as
long as these take, since some mistakes are only found by a kubelet."""

CROWD: Final = 50
QUIET_SECONDS: Final = 10.0
QUIET_REQUESTS: Final = 20


@dataclass(frozen=True)
class Mistake:
    """Agents that are wrong, and what the first of them is told."""

    agents: tuple[Object, ...]
    reason: str
    words: tuple[str, ...]
    quota: dict[str, str] = field(default_factory=dict)


def _bad(**spec: Any) -> tuple[Object, ...]:
    return (agent("bad", **spec),)


def _container(**container: Any) -> tuple[Object, ...]:
    return (agent("bad", container=container),)


def _with_pod(**pod: Any) -> tuple[Object, ...]:
    wanted = template()
    wanted["spec"] |= pod
    return _bad(template=wanted)


def _secret_volume() -> tuple[Object, ...]:
    mount = {"name": "keys", "mountPath": "/keys"}
    wanted = template(volumeMounts=[mount])
    wanted["spec"]["volumes"] = [{"name": "keys", "secret": {"secretName": "nowhere"}}]
    return _bad(template=wanted)


MISTAKES: Final[dict[str, Mistake]] = {
    "image": Mistake(
        _container(image="127.0.0.1:1/agent:1", imagePullPolicy="Always"),
        "ImageUnavailable",
        ("container agent", "127.0.0.1:1/agent:1"),
    ),
    "unknown-field-of-a-container": Mistake(
        _container(imagePolicy="Always"), "InvalidTemplate", ("ReplicaSet bad-", "imagePolicy")
    ),
    "negative-resource": Mistake(
        _container(resources={"limits": {"cpu": "-1"}}),
        "InvalidTemplate",
        ("resources.limits[cpu]", "must be greater than or equal to 0"),
    ),
    "cycle": Mistake(
        (agent("bad", dependsOn=["worse"]), agent("worse", dependsOn=["bad"])),
        "DependencyCycle",
        ("bad and worse depend on each other; remove one dependency",),
    ),
    "quota-of-pods": Mistake(
        _bad(), "QuotaExceeded", ("exceeded quota", "pods=0"), quota={"pods": "0"}
    ),
    "quota-of-services": Mistake(
        _bad(),
        "QuotaExceeded",
        ("Service bad", "exceeded quota", "count/services=0"),
        quota={"count/services": "0"},
    ),
    "missing-config-map": Mistake(
        _container(envFrom=[{"configMapRef": {"name": "nowhere"}}]),
        "ContainerNotCreated",
        ("container agent", 'configmap "nowhere" not found'),
    ),
    "missing-secret": Mistake(
        _container(
            env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "key"}}}]
        ),
        "ContainerNotCreated",
        ("container agent", 'secret "nowhere" not found'),
    ),
    "missing-secret-volume": Mistake(
        _secret_volume(), "VolumeNotMounted", ('secret "nowhere" not found',)
    ),
    "probe-twice": Mistake(
        _container(readinessProbe={"tcpSocket": {"port": 8080}}),
        "TemplateConflict",
        ("container agent has a readinessProbe and spec.health", "remove one of the two"),
    ),
    "config-too-large-in-bytes": Mistake(
        (podless("bad", config={"prompt": "字" * 400_000}),),
        "InvalidChild",
        ("ConfigMap bad-", "1048576"),
    ),
}

REFUSED: Final[dict[str, tuple[Object, tuple[str, ...]]]] = {
    "unknown-field": (agent("bad", replica=2), (".spec.replica", "not declared in schema")),
    "negative-replicas": (
        agent("bad", replicas=-1),
        ("spec.replicas", "greater than or equal to 0"),
    ),
    "version": (agent("bad", version="v1"), ("spec.version", "semantic version")),
    "depends-on-itself": (
        agent("bad", dependsOn=["bad"]),
        ("spec.dependsOn", "must not contain the name of the Agent itself"),
    ),
    "name-too-long": (agent("a" * 64), ("metadata.name must be a DNS-1035 label", "at most 63")),
    "config-too-large": (
        agent("bad", config={"one": "x" * 500_000, "two": "x" * 500_000}),
        ("spec.config", "900000"),
    ),
    "no-container": (agent("bad", template={"spec": {"containers": []}}), ("containers",)),
    "no-template": (agent("bad", template=None), ("spec.template", "Required")),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_and_costs_nobody_else(world: World, mistake: Mistake) -> None:
    """A condition says what is wrong; then nobody asks the API server over and over."""
    if mistake.quota:
        _limit(world, mistake.quota)
    container = {"ports": []} if "count/services" in mistake.quota else None

    with _Crowd(world, container=container) as crowd:
        start = time.monotonic()
        for manifest in mistake.agents:
            world.apply(manifest)
        world.wait_until("Agent", "bad", lambda seen: _blames(seen, mistake.reason), within=START)
        seconds = time.monotonic() - start
        # A kubelet that has much to do says first that it does not know yet what is missing.
        told = world.wait_until(
            "Agent", "bad", lambda seen: _blames(seen, mistake.reason, *mistake.words), within=START
        )

    print(f"{mistake.reason} after {seconds:.1f} s, the others after {crowd.seconds:.1f} s")
    assert told["status"]["phase"] == "Error"
    assert told["status"]["lastError"]["reason"] == mistake.reason
    assert seconds < max(TOLD_WITHIN, 2 * crowd.seconds)
    _wait_until_idle(world)
    assert _requests_of(world, QUIET_SECONDS) < QUIET_REQUESTS


def test_what_the_schema_refuses_never_gets_in(world: World) -> None:
    """The API server says at once what is wrong, to kubectl too, and nothing is left behind."""
    with _Crowd(world):
        for case, (manifest, words) in REFUSED.items():
            start = time.monotonic()
            with pytest.raises(Refused) as refused:
                world.apply(manifest)

            assert time.monotonic() - start < TOLD_WITHIN
            for word in words:
                assert word.lower() in refused.value.message.lower(), case
            assert world.find("Agent", manifest["metadata"]["name"]) is None

        said = world.kubectl("apply", "-f", "-", stdin=json.dumps(agent("bad", replica=2)))

    assert said.code != 0
    assert 'unknown field "spec.replica"' in said.err


def test_a_name_of_63_characters_works(world: World) -> None:
    """The longest name a Service can have is good enough for an Agent with pods."""
    name = "a" * 63
    world.apply(agent(name))

    world.wait_for_phase(name, "Online")

    pod = world.pod(name)
    assert world.http(pod["metadata"]["name"], "/").json()["agent"] == name


@pytest.mark.parametrize("update", ["Rollout", "InPlace"])
def test_a_config_of_900_kilobytes_works(world: World, update: str) -> None:
    """As much as the API server takes, in a pod that reads it, and it can be changed."""
    large = {"prompt": "x" * 450_000, "greeting": "y" * 449_990}
    world.apply(agent("a", config=large, configUpdate=update))
    world.wait_for_phase("a", "Online")
    (pod,) = world.pods("a")
    answer = world.http(pod["metadata"]["name"], "/").json()

    world.apply(
        agent("a", config={**large, "prompt": "z" * 450_000}, configUpdate=update, replicas=0)
    )
    changed = world.wait_for_phase("a", "Idle")

    assert answer["prompt"] == large["prompt"]
    assert changed["status"]["configVersion"] == 2


def test_unicode_works_everywhere(world: World) -> None:
    """Config, annotations, and the reason of a mode are whatever a person writes."""
    text = "Grüße, 世界 🌍 — “naïve” \u202eabc\u202c \u200d"
    wanted = agent("a", config={"greeting": text, "prompt": text * 100})
    wanted["metadata"]["annotations"] = {"example.com/note": text}
    wanted["spec"]["template"]["metadata"] = {"annotations": {"example.com/note": text}}
    wanted["metadata"]["namespace"] = world.namespace
    world.cluster.create("Agent", wanted)
    world.wait_for_phase("a", "Online")
    pod = world.pod("a")
    answer = world.http(pod["metadata"]["name"], "/").json()

    world.change("a", operatingMode="Suspended", operatingModeReason=text)
    found = world.wait_for_phase("a", "Suspended")

    assert answer["greeting"] == text
    assert answer["prompt"] == text * 100
    assert pod["metadata"]["annotations"]["example.com/note"] == text
    assert found["status"]["history"][-1]["reason"] == text
    ready = condition(found, "Ready")
    assert ready is not None
    assert ready["message"] == text


class _Crowd:
    """50 Agents that are being created meanwhile; in the end all of them are as they are wanted."""

    def __init__(self, world: World, *, container: Object | None = None) -> None:
        self._world = world
        self._container = container
        self._names = names("other", CROWD)
        self._pool = ThreadPoolExecutor(1)

    @property
    def seconds(self) -> float:
        """How long they took, whether or not something else was waited for meanwhile."""
        return self._settling.result()

    def __enter__(self) -> Self:
        self._settling = self._pool.submit(self._settle)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self._settling.result()

    def _settle(self) -> float:
        start = time.monotonic()
        each(self._create, self._names, writers=2)
        found = wait_until_settled(self._world, self._names, within=START)
        seconds = time.monotonic() - start
        for name in self._names:
            assert [entry["to"] for entry in found[name]["status"]["history"]] == ["Offline"]
        return seconds

    def _create(self, name: str) -> None:
        self._world.apply(podless(name, container=self._container))


def _limit(world: World, hard: dict[str, str]) -> None:
    """Set a quota, and wait until the API server enforces it."""
    world.cluster.create(
        "ResourceQuota",
        {"metadata": {"name": "limit", "namespace": world.namespace}, "spec": {"hard": hard}},
    )
    world.wait_until(
        "ResourceQuota", "limit", lambda seen: seen.get("status", {}).get("hard") == hard
    )


def _blames(found: Object, reason: str, *words: str) -> bool:
    """Whether an Agent is told its mistake, in these words among others."""
    ready = condition(found, "Ready")
    return (
        observed(found)
        and ready is not None
        and (ready["status"], ready["reason"]) == ("False", reason)
        and all(word in ready["message"] for word in words)
    )


def _wait_until_idle(world: World) -> None:
    """Wait until the children of the others have been made too."""
    operator = world.operator
    operator.wait_until(
        lambda: (
            operator.metric("agentherd_objects", kind="ReplicaSet") >= CROWD
            and operator.metric("agentherd_queue_depth") == 0
        ),
        within=START,
    )


def _requests_of(world: World, seconds: float) -> float:
    """How many requests the operator sends in so many seconds, those for its Lease among them."""
    before = world.operator.metric("agentherd_api_requests_total")
    world.operator.runs_for(seconds)
    return world.operator.metric("agentherd_api_requests_total") - before
