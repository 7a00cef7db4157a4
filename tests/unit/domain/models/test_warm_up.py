"""Cold pods are asked once their containers are ready, and told warm once they have answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON, agent, pod_view

from agentherd.api import WarmUp
from agentherd.domain.models.warm_up import requests, written
from agentherd.domain.models.workload import WARM as GATE
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Failure, Plan, WriteCondition
from agentherd.domain.reasons import Reason
from agentherd.domain.views import PodView
from agentherd.domain.warmth import WARM, Told, Warmth, WarmUpAnswer

START, BEFORE = "0123456789", "9876543210"
ASKED: Final[dict[str, Any]] = {"path": "/v1/embeddings", "body": '{"input": "hello"}'}

PORTS: Final = (("grpc", 9000), ("http", 8080))


def warm_up(**fields: Any) -> WarmUp:
    return WarmUp.model_validate(ASKED | fields)


def pod(name: str = "a", *, told: Told | None = None, ready: bool = True, **fields: Any) -> PodView:
    """A pod whose containers are ready, and of whose warm-up this is told."""
    known = {
        "ready": False,
        "ip": "10.0.0.7",
        "warmth": Warmth(start=START, ready=ready, told=told, ports=PORTS),
    }
    return pod_view(name, **known | fields)


def seen(*pods: PodView, **fields: Any) -> AgentObservation:
    return AgentObservation(agent=agent(), pods={each.name: each for each in pods}, **fields)


def telling(
    *pods: PodView, said: str = "was answered with status 503", failures: int = 0, **fields: Any
) -> list[WriteCondition]:
    """What is told of pods that have all answered so."""
    answer = WarmUpAnswer(start=START, said=said, failures=failures)
    answers = {each.uid: answer for each in pods}
    return list(written(warm_up(**fields), seen(*pods), answers, NOON))


def after(one: PodView, write: WriteCondition) -> PodView:
    """The pod once that was written."""
    assert one.warmth is not None
    return replace(one, warmth=replace(one.warmth, told=Told.of(write.condition)))


def cold(failures: int = 0, threshold: int = 3, *, start: str = START) -> Told:
    """What is told of a pod that has failed so often."""
    return Told(
        warm=False,
        said="POST /v1/embeddings was answered with status 503",
        start=start,
        failed=failures >= threshold,
        failures=failures,
        threshold=threshold,
        since="2026-11-21T11:00:00Z",
    )


def hot(start: str = START) -> Told:
    return Told(warm=True, said="POST /v1/embeddings was answered with status 200", start=start)


def test_the_gate_and_the_condition_are_of_one_type() -> None:
    """Or no pod would ever be ready."""
    assert GATE == WARM


# Which pods are asked


def test_a_cold_pod_is_asked_as_the_spec_says() -> None:
    """At its own address, the first port of the first container unless another is named."""
    (request,) = requests(warm_up(timeoutSeconds=5, contentType="text/plain"), seen(pod()))

    assert request.uid == "uid-of-a"
    assert request.url == "http://10.0.0.7:9000/v1/embeddings"
    assert (request.body, request.content_type) == ('{"input": "hello"}', "text/plain")
    assert (request.timeout, request.start, request.failures) == (5, START, 0)


@pytest.mark.parametrize(("port", "number"), [("http", 8080), (80, 80), (1234, 1234)])
def test_the_port_may_be_a_name_or_a_number(port: int | str, number: int) -> None:
    """A number need not be one that the template names."""
    (request,) = requests(warm_up(port=port), seen(pod(ip="fd00::7")))

    assert request.url == f"http://[fd00::7]:{number}/v1/embeddings"


@pytest.mark.parametrize(
    "one",
    [
        pod(warmth=None),
        pod(ready=False),
        pod(told=hot()),
        pod(deleting=True),
        pod(finished=True),
        pod(ip=""),
    ],
    ids=["without the gate", "starting", "warm", "being deleted", "ended", "without an address"],
)
def test_other_pods_are_left_alone(one: PodView) -> None:
    """A request costs the pod something, and some cannot answer it."""
    assert requests(warm_up(), seen(one)) == ()


def test_a_pod_that_was_started_again_is_asked_anew() -> None:
    """Whether it was warm or had failed."""
    asked = requests(
        warm_up(), seen(pod("a", told=hot(BEFORE)), pod("b", told=cold(3, start=BEFORE)))
    )

    assert [(each.uid, each.failures) for each in asked] == [("uid-of-a", 0), ("uid-of-b", 0)]


def test_failures_that_are_told_are_counted_on() -> None:
    """The process that has counted them may be gone."""
    (request,) = requests(warm_up(), seen(pod(told=cold(2))))

    assert request.failures == 2


def test_a_pod_whose_warm_up_has_failed_is_asked_on() -> None:
    """Late is better than never where nothing else serves."""
    assert len(requests(warm_up(), seen(pod(told=cold(3))))) == 1


# What is told of them


def test_a_pod_that_has_answered_is_told_warm() -> None:
    """The kubelet makes it ready then."""
    (write,) = telling(pod(told=cold(2)), said="was answered with status 200")

    assert (write.name, write.uid) == ("a", "uid-of-a")
    assert write.condition == {
        "type": "agentherd.dev/warm",
        "status": "True",
        "reason": "Warm",
        "message": f"POST /v1/embeddings was answered with status 200 [start {START}]",
        "lastTransitionTime": "2026-11-21T12:00:00Z",
        "lastProbeTime": "2026-11-21T12:00:00Z",
    }


def test_a_failure_is_told_and_how_many_there_were() -> None:
    """The status has not changed since the pod was told cold."""
    (write,) = telling(pod(told=cold(1)), failures=2)

    assert write.condition["status"] == "False"
    assert write.condition["reason"] == "WarmingUp"
    assert write.condition["message"] == (
        f"POST /v1/embeddings was answered with status 503, failure 2 of 3 [start {START}]"
    )
    assert write.condition["lastTransitionTime"] == "2026-11-21T11:00:00Z"


def test_at_the_threshold_the_warm_up_has_failed() -> None:
    """Which is a fault of the pod from then on."""
    (write,) = telling(pod(told=cold(2)), failures=3)
    found = after(pod(), write).warmth

    assert write.condition["reason"] == "WarmUpFailed"
    assert found is not None
    assert found.fault("a") is not None


@pytest.mark.parametrize("failures", [3, 4, 1000])
def test_beyond_the_threshold_nothing_is_written_any_more(failures: int) -> None:
    """A pod that never answers is not a write each second."""
    assert telling(pod(told=cold(3)), said="broke off", failures=failures) == []


@given(failures=st.integers(0, 200), threshold=st.integers(1, 100))
def test_what_was_written_once_is_not_written_again(failures: int, threshold: int) -> None:
    """Whatever it was, a turn after the write has nothing to do."""
    one = pod()
    (write,) = telling(one, failures=failures, failureThreshold=threshold)

    assert telling(after(one, write), failures=failures, failureThreshold=threshold) == []


@given(answers=st.lists(st.booleans(), max_size=12), threshold=st.integers(1, 5))
def test_a_warm_up_fails_exactly_when_so_many_failures_come_in_a_row(
    answers: list[bool], threshold: int
) -> None:
    """Told by the pod alone, as by a process that is killed after each write."""
    one, row = pod(), 0
    for good in answers:
        (request,) = requests(warm_up(failureThreshold=threshold), seen(one))
        row = 0 if good else row + 1
        for write in telling(
            one, failures=0 if good else request.failures + 1, failureThreshold=threshold
        ):
            one = after(one, write)
        assert one.warmth is not None
        assert one.warmth.warm is good
        assert (one.warmth.fault("a") is not None) is (row >= threshold)
        if good:
            return


def test_a_pod_that_was_started_again_is_told_cold_at_once() -> None:
    """Already while its containers are not ready, so that it gets no requests with them."""
    (write,) = written(warm_up(), seen(pod(told=hot(BEFORE), ready=False)), {}, NOON)

    assert (write.condition["status"], write.condition["reason"]) == ("False", "WarmingUp")
    assert "started again" in write.condition["message"]


def test_an_answer_of_before_a_restart_counts_for_nothing() -> None:
    """It may come in the same turn as the news of the restart."""
    one = pod()
    old = {one.uid: WarmUpAnswer(start=BEFORE, said="was answered with status 200")}

    assert list(written(warm_up(), seen(one), old, NOON)) == []


@pytest.mark.parametrize("one", [pod(warmth=None), pod(deleting=True), pod(told=hot())])
def test_nothing_is_told_of_other_pods(one: PodView) -> None:
    """It would be of no use to anybody."""
    assert telling(one) == []


def test_pods_with_a_gate_that_nobody_asks_for_any_more_are_let_through() -> None:
    """An older revision goes on being scaled after `warmUp` was removed."""
    starting, cold_one = pod("a", ready=False), pod("b", told=cold(3))

    (write,) = written(None, seen(starting, cold_one), {}, NOON)

    assert requests(None, seen(cold_one)) == ()
    assert (write.name, write.condition["status"]) == ("b", "True")


def test_a_port_that_does_not_exist_is_a_warm_up_that_has_failed() -> None:
    """Waiting would not make it appear."""
    one, found = pod(), warm_up(port="https")

    (write,) = written(found, seen(one), {}, NOON)

    assert requests(found, seen(one)) == ()
    assert write.condition["reason"] == "WarmUpFailed"
    assert "the first container has no port https" in write.condition["message"]
    assert list(written(found, seen(after(one, write)), {}, NOON)) == []


@pytest.mark.parametrize("failures", [0, 2])
def test_that_nobody_listens_is_told_and_no_failure(failures: int) -> None:
    """It neither adds to those there were nor takes them back."""
    said = "cannot be sent: Connection refused"
    answer = WarmUpAnswer(start=START, said=said, failures=failures, listened=False)
    one = pod()

    (write,) = written(warm_up(failureThreshold=3), seen(one), {one.uid: answer}, NOON)

    told = Told.of(write.condition)
    assert (told.warm, told.failed, told.failures) == (False, False, failures)
    assert write.condition["message"].startswith(f"POST /v1/embeddings {said}")


def test_a_write_that_was_refused_waits_for_its_time() -> None:
    """Or a permission that is missing would be asked for all the time."""
    one = pod()
    (write,) = telling(one)
    refused = Failure(
        reason=Reason.FORBIDDEN,
        message="no",
        generation=1,
        retry_at=NOON + timedelta(seconds=15),
    )
    held = seen(one, failures={write.ref: refused})
    answers = {one.uid: WarmUpAnswer(start=START, said="was answered with status 200")}

    assert list(written(warm_up(), held, answers, NOON)) == []
    assert len(list(written(warm_up(), held, answers, NOON + timedelta(seconds=15)))) == 1


def test_the_condition_comes_after_the_status_in_a_plan() -> None:
    """What was decided is recorded before it is acted on."""
    (write,) = telling(pod())

    assert Plan.of([write]).intents == (write,)
    assert str(write.ref) == "Pod/status a"
