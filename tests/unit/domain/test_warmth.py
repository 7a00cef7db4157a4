"""What a pod tells of its warm-up is read back as it was written, and holds for one start only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.domain.reasons import Reason
from agentherd.domain.warmth import WARM, Told, Warmth

SAID = "POST /v1/embeddings was answered with status 503"
GATES = [{"conditionType": "example.com/else"}, {"conditionType": WARM}]


def container(identity: str | None, name: str = "model") -> dict[str, Any]:
    """A container that runs under this name of its runtime; None: it has ended."""
    if identity is None:
        return {"name": name, "containerID": "of-before", "state": {"waiting": {}}}
    return {"name": name, "containerID": identity, "state": {"running": {}}}


def warmth(
    *containers: dict[str, Any], ready: bool = True, told: Told | None = None
) -> Warmth | None:
    conditions = [{"type": "ContainersReady", "status": str(ready)}]
    if told is not None:
        conditions.append(told.condition())
    status = {"conditions": conditions, "containerStatuses": list(containers)}
    return Warmth.of({"spec": {"readinessGates": GATES}, "status": status})


def start_of(*containers: dict[str, Any]) -> str:
    found = warmth(*containers)
    assert found is not None
    return found.start


FIRST = container("containerd://1")
WARM_SINCE_FIRST = Told(warm=True, said="GET / was answered with status 200", start=start_of(FIRST))

tellings = st.builds(
    Told,
    warm=st.booleans(),
    said=st.text(alphabet=st.characters(exclude_characters="["), max_size=40).map(
        lambda text: f"{text} was answered"
    ),
    start=st.sampled_from(["", "0123456789", "abcdef0123"]),
    failures=st.integers(0, 100),
    threshold=st.just(100),
).map(lambda told: told if told.failures else Told(warm=told.warm, said=told.said))


@given(tellings)
def test_what_is_written_is_read_back(told: Told) -> None:
    """A process that is started later knows what the one before it knew."""
    assert Told.of(told.condition()) == told


@given(st.dictionaries(st.sampled_from(["status", "reason", "message"]), st.text(max_size=60)))
def test_whatever_somebody_else_writes_can_be_read(condition: dict[str, str]) -> None:
    """A condition is a text field that any client with the permission may fill."""
    assert Told.of(condition).failures <= 999


def test_a_pod_without_the_gate_has_no_warmth() -> None:
    """That is every pod of an Agent."""
    assert Warmth.of({"spec": {}, "status": {}}) is None
    assert Warmth.of({"spec": {"readinessGates": GATES[:1]}}) is None


def test_a_pod_that_was_just_made_is_cold() -> None:
    """Its status may be empty."""
    found = Warmth.of({"spec": {"readinessGates": GATES}})

    assert found == Warmth(start="", ready=False)
    assert not found.warm


def test_a_warm_pod_stays_warm_while_its_containers_run() -> None:
    """A readiness probe that fails for a moment makes no model cold."""
    found = warmth(FIRST, ready=False, told=WARM_SINCE_FIRST)

    assert found is not None
    assert (found.warm, found.cold_again) == (True, False)


@pytest.mark.parametrize("now", ["containerd://2", None])
def test_a_container_that_was_started_again_is_cold(now: str | None) -> None:
    """Already from its end on, so that the pod is not ready with the next start."""
    found = warmth(container(now), told=WARM_SINCE_FIRST)

    assert found is not None
    assert (found.warm, found.cold_again) == (False, True)


def test_a_pod_of_which_nothing_is_told_for_a_moment_stays_warm() -> None:
    """A kubelet that has just been started may not have told of the containers yet."""
    found = warmth(told=WARM_SINCE_FIRST)

    assert found is not None
    assert found.warm


def test_what_somebody_has_said_by_hand_is_believed() -> None:
    """Where the request itself is broken, a person can bring a pod into service."""
    found = warmth(FIRST, told=Told(warm=True, said="ok"))

    assert found is not None
    assert found.warm


def test_the_order_in_which_containers_are_told_means_nothing() -> None:
    """It is not promised."""
    other = container("containerd://9", name="proxy")

    assert start_of(FIRST, other) == start_of(other, FIRST)
    assert start_of(FIRST, other) != start_of(FIRST)


def test_ports_are_those_of_the_first_container() -> None:
    """A name leads to a number; any number may be asked for."""
    first = {"ports": [{"name": "grpc", "containerPort": 9000}, {"containerPort": 8080}]}
    second = {"ports": [{"name": "http", "containerPort": 80}]}
    found = Warmth.of({"spec": {"readinessGates": GATES, "containers": [first, second]}})
    assert found is not None

    assert [found.port(wanted) for wanted in (None, "grpc", 8080, 1234, "http")] == [
        9000,
        9000,
        8080,
        1234,
        None,
    ]


def test_a_warm_up_that_has_failed_is_a_fault_of_the_pod() -> None:
    """The condition says it, so that it outlives the process that has asked."""
    told = Told(
        warm=False,
        said=SAID,
        start=start_of(FIRST),
        failed=True,
        failures=3,
        threshold=3,
        at="2026-11-21T12:00:05Z",
    )
    found = warmth(FIRST, told=told)
    assert found is not None

    fault = found.fault("embedder-1")

    assert fault is not None
    assert fault.reason is Reason.WARM_UP_FAILED
    assert fault.message == (
        "pod embedder-1: warm-up request POST /v1/embeddings was answered with status 503, "
        "3 times in a row"
    )
    assert fault.at is not None
    assert fault.at.second == 5


@pytest.mark.parametrize(
    "told",
    [
        None,
        WARM_SINCE_FIRST,
        Told(warm=False, said=SAID, start=start_of(FIRST), failures=2, threshold=3),
        Told(warm=False, said=SAID, start="0" * 10, failed=True, failures=3, threshold=3),
    ],
    ids=["cold", "warm", "still trying", "before a restart"],
)
def test_a_pod_that_may_still_become_warm_has_no_fault(told: Told | None) -> None:
    """Starting takes its time, and what failed before a restart is over."""
    found = warmth(FIRST, told=told)

    assert found is not None
    assert found.fault("embedder-1") is None
