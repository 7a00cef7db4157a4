"""Pods of a model answer a warm-up request before they get any other, each time they start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Moment, Object
from tests.e2e.models import (
    IMAGE,
    MODEL_LABEL,
    QUICKLY,
    TOLD,
    change,
    load,
    model,
    pods,
    served,
    status,
    version,
    wait_until,
    wait_until_active,
    wait_until_ready,
)
from tests.e2e.served import wait_until_only
from tests.e2e.world import START, World, condition, condition_status, identity, is_ready

WARM: Final = "agentherd.dev/warm"
WARM_UP: Final = {"path": "/v1/embeddings", "body": '{"input": "hello"}', "timeoutSeconds": 5}
"""The dummy answers it with 503 as long as it is cold."""


def told(pod: Object) -> str:
    """What the condition of a pod says."""
    found = condition(pod, WARM)
    return found["message"] if found else ""


def counted(world: World, pod: Object) -> dict[str, int]:
    """The requests that a pod has answered, by status."""
    text = world.http(pod["metadata"]["name"], "/metrics").text
    found = re.findall(r'^http_requests_total\{code="(\d+)".*\} (\S+)$', text, re.MULTILINE)
    return {code: int(float(number)) for code, number in found if float(number)}


def lives(world: World, name: str, *, since: Moment, within: float = START) -> Iterator[Object]:
    """What becomes of the pods of a model after a moment, change by change."""
    for changed in world.follow("Pod", since=since, within=within):
        if changed.object["metadata"]["labels"].get(MODEL_LABEL) == name:
            yield changed.object


def is_cold(pod: Object) -> bool:
    """Whether it does not say that it is warm."""
    return condition_status(pod, WARM) != "True"


def is_held_back(pod: Object) -> bool:
    """Whether nothing but that keeps it from being ready."""
    return condition_status(pod, "ContainersReady") == "True" and is_cold(pod) and not is_ready(pod)


def ready_but_cold(seen: list[Object]) -> list[str]:
    """What was told of pods that were ready and not warm."""
    return [told(pod) for pod in seen if is_ready(pod) and is_cold(pod)]


def test_a_pod_is_ready_once_it_has_answered(world: World) -> None:
    """The first answers are failures, the latest of which is told; nobody else asks meanwhile."""
    since = world.now("Pod")
    world.apply(model(version("v1", warm_up_failures=4), warmUp=WARM_UP | {"failureThreshold": 5}))

    seen: list[Object] = []
    for pod in lives(world, "m", since=since):
        seen.append(pod)
        if is_ready(pod):
            break
    (pod,) = pods(world)

    assert ready_but_cold(seen) == []
    said = dict.fromkeys(re.sub(r" \[start .*", "", told(each)) for each in seen if told(each))
    *failures, good = [
        *(
            f"POST /v1/embeddings was answered with status 503, failure {n} of 5"
            for n in range(1, 5)
        ),
        "POST /v1/embeddings was answered with status 200",
    ]
    # An operator that is late tells no failure that another one has followed.
    assert list(said) == [*(each for each in failures if each in said), good]
    assert len(said) > 1
    assert counted(world, pod) == {"503": 4, "200": 1}
    wait_until_ready(world)


def test_a_swap_to_a_version_that_is_cold_at_first_loses_no_request(
    world: World, tmp_path: Path
) -> None:
    """What it answers with an error is asked by the operator alone."""
    served(world, version("v1"), version("v2", warm_up_seconds=3), warmUp=_patient())
    with load(world, tmp_path) as running:
        change(world, activeVersion="v2")
        wait_until_active(world, "v2")
        wait_until_only(world, running, "v2")
        report = running.stop()

    assert report.failed == ()


def test_a_version_that_fails_its_warm_up_is_given_up(world: World) -> None:
    """The one that serves is not touched, and the status says what was answered, in time."""
    world.apply(
        model(
            version("v1"),
            version("v2", warm_up="fail"),
            warmUp=WARM_UP | {"failureThreshold": 2},
            progressDeadlineSeconds=600,
        )
    )
    wait_until_ready(world)
    (before,) = pods(world)
    since = world.now("Pod")

    upgrade = change(world, activeVersion="v2")
    seen: list[Object] = []
    for pod in lives(world, "m", since=since):
        seen.append(pod)
        failed = condition(pod, WARM)
        if failed is not None and failed["reason"] == "WarmUpFailed":
            break
    wait_until(world, _gave_up, within=TOLD)
    ended = world.wait_upgrade(upgrade, "RolledBack")

    rollback = ended["status"]["rollback"]
    assert rollback["trigger"] == "WarmUpFailed"
    assert (
        "POST /v1/embeddings was answered with status 503, 2 times in a row" in rollback["reason"]
    )
    assert ready_but_cold(seen) == []
    assert status(world)["activeVersion"] == "v1"
    assert status(world)["lastRollback"]["trigger"] == "WarmUpFailed"
    (now,) = pods(world, of="v1")
    assert identity(now) == identity(before)
    assert is_ready(now)


def test_a_container_that_is_started_again_is_warmed_up_again(world: World) -> None:
    """The pod is the same, and what it has answered before counts for nothing.

    It is cold for longer than the kubelet needs to read that it is.
    """
    patient = WARM_UP | {"failureThreshold": 9}
    world.apply(model(version("v1", warm_up_failures=6), warmUp=patient))
    wait_until_ready(world)
    (before,) = pods(world)
    since = world.now("Pod")

    stop = "import os, signal; os.kill(1, signal.SIGTERM)"
    world.kubectl("exec", before["metadata"]["name"], "--", "python3", "-c", stop)
    again: list[Object] = []
    for pod in lives(world, "m", since=since, within=2 * START):
        uid, restarts = identity(pod)
        if uid == before["metadata"]["uid"] and restarts > 0:
            again.append(pod)
            warm = condition_status(pod, WARM) == "True" and told(pod) != told(before)
            if is_ready(pod) and warm:
                break

    # The kubelet calls it ready until it has read that it is not warm any more.
    read = next(number for number, pod in enumerate(again) if is_held_back(pod))
    assert ready_but_cold(again[read:]) == []
    assert is_ready(again[-1])
    assert told(again[-1]) != told(before)
    assert counted(world, again[-1]) == {"503": 6, "200": 1}


def test_an_operator_that_is_killed_goes_on_where_it_was(world: World) -> None:
    """What counts stands in the pods: no failure is forgotten, and they become warm."""
    since = world.now("Pod")
    outlasts_the_operator = version("v1", warm_up_failures=12)
    world.apply(model(outlasts_the_operator, warmUp=WARM_UP | {"failureThreshold": 100}))

    failures: list[int] = []
    killed = False
    for pod in lives(world, "m", since=since, within=2 * START):
        failures.append(_failures(pod))
        if failures[-1] >= 3 and not killed:
            killed = True
            world.operator.kill()
            world.delete("Lease", "agentherd")
            world.operator.start()
        if is_ready(pod):
            break

    counted_up = [number for number in failures if number]
    assert killed
    assert counted_up == sorted(counted_up)
    assert max(counted_up) > 3
    wait_until_ready(world)


def test_an_image_alone_is_warmed_up_at_its_own_port(world: World) -> None:
    """A GET where there is no body."""
    plain = {"name": "v1", "image": IMAGE}
    world.apply(model(plain, warmUp={"path": "/v1/models"}, upgradePolicy=QUICKLY))

    wait_until_ready(world)

    (pod,) = pods(world)
    assert told(pod).startswith("GET /v1/models was answered with status 200")


def _patient() -> dict[str, Any]:
    return WARM_UP | {"failureThreshold": 30}


def _gave_up(found: Object) -> bool:
    return bool(found["status"].get("lastRollback", {}).get("trigger") == "WarmUpFailed")


def _failures(pod: Object) -> int:
    found = re.search(r"failure (\d+) of", told(pod))
    return int(found.group(1)) if found else 0
