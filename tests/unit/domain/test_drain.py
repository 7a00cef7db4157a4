"""A pod goes when it has nothing in flight or has had its time, and no other goes in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.domain.drain import Mark, Shrinking, mark_time, shrink
from agentherd.domain.readings import Reading

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTLE = timedelta(seconds=2)
TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Pod:
    name: str
    ready: bool = True
    admitted: bool = False
    deleting: bool = False
    finished: bool = False
    in_traffic: bool = True
    draining_since: datetime | None = None
    released: bool = False

    @property
    def uid(self) -> str:
        return f"uid-{self.name}"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def draining(name: str, seconds: float, *, ready: bool = True, released: bool = False) -> Pod:
    """A pod that was taken out of traffic so many seconds ago."""
    return Pod(
        name=name, ready=ready, in_traffic=False, draining_since=ago(seconds), released=released
    )


def reading(in_flight: float | None, *, age: float = 0, since_last: float | None = 0) -> Reading:
    return Reading(recent=0, in_flight=in_flight, at=ago(age), seconds=10, since_last=since_last)


def shrunk(
    *pods: Pod,
    size: int,
    current: int | None = None,
    readings: Mapping[str, Reading] | None = None,
    reports: bool = True,
) -> Shrinking:
    return shrink(
        current=len(pods) if current is None else current,
        size=size,
        pods=pods,
        readings={f"uid-{name}": reading for name, reading in (readings or {}).items()},
        reports=reports,
        settle=SETTLE,
        timeout=TIMEOUT,
        now=NOW,
    )


def test_a_pod_that_serves_is_marked_and_stays() -> None:
    """Out of traffic first; the ReplicaSet is as large as before."""
    found = shrunk(Pod(name="a"), Pod(name="b"), size=1)

    assert found.size == 2
    assert found.mark == {"uid-a": Mark(since=NOW, released=False)}


def test_nothing_is_done_where_nothing_is_in_excess() -> None:
    """A settled Agent costs no write and no look at the clock."""
    found = shrunk(Pod(name="a"), Pod(name="b"), size=2)

    assert found == Shrinking(size=2, mark={}, unmark=(), wake_at=None)


def test_a_ready_pod_that_is_all_done_goes() -> None:
    """It was read after the last request could have reached it."""
    found = shrunk(draining("a", 5), Pod(name="b"), size=1, readings={"a": reading(0, age=1)})

    assert found == Shrinking(size=1, mark={}, unmark=(), wake_at=None)


@pytest.mark.parametrize(
    "told",
    [
        {"a": reading(1)},
        {"a": reading(0, since_last=3)},
        {"a": reading(0, since_last=None)},
        {"a": reading(0, age=4)},
        {"a": reading(None)},
        {},
    ],
    ids=[
        "in flight",
        "just had requests",
        "looked at once",
        "read too early",
        "does not count",
        "silent",
    ],
)
def test_a_pod_that_may_have_work_is_kept_until_its_deadline(told: dict[str, Reading]) -> None:
    """No data is not good news, and what was read before traffic had settled tells nothing."""
    before = shrunk(draining("a", 5), Pod(name="b"), size=1, readings=told)
    after = shrunk(draining("a", 62), Pod(name="b"), size=1, readings=told)

    assert (before.size, before.wake_at) == (2, ago(5) + SETTLE + TIMEOUT)
    assert (after.size, after.wake_at) == (1, None)


def test_without_metrics_a_pod_goes_when_traffic_has_settled() -> None:
    """There is nothing to wait for that could be seen."""
    before = shrunk(draining("a", 1), Pod(name="b"), size=1, reports=False)
    after = shrunk(draining("a", 2), Pod(name="b"), size=1, reports=False)

    assert (before.size, before.wake_at) == (2, ago(1) + SETTLE)
    assert (after.size, after.wake_at) == (1, None)


def test_a_pod_for_which_the_replica_set_was_lowered_goes_when_more_are_wanted_again() -> None:
    """Its mark taken away, the controller would take the other one, which has work to do."""
    busy, idle = draining("a", 5), draining("b", 5, released=True)

    found = shrunk(
        busy, idle, size=1, current=1, readings={"a": reading(1), "b": reading(0, age=1)}
    )

    assert (found.size, found.unmark) == (1, ("uid-a",))


def test_an_unready_pod_goes_first_and_at_once() -> None:
    """It gets no requests, whatever its label says; the mark keeps it so until it has gone."""
    found = shrunk(Pod(name="a"), Pod(name="b", ready=False), size=1)

    assert found.size == 1
    assert found.mark == {"uid-b": Mark(since=NOW, released=False)}


def test_a_marked_pod_that_is_unready_goes() -> None:
    """Metrics of a pod that does not work are not waited for."""
    assert shrunk(draining("a", 1, ready=False), Pod(name="b"), size=1).size == 1


def failing(name: str, seconds: float | None = None, *, released: bool = False) -> Pod:
    """An unready pod of a new version, to which requests go until the Gateway has followed."""
    if seconds is None:
        return Pod(name=name, ready=False, admitted=True)
    return replace(draining(name, seconds, ready=False, released=released), admitted=True)


def test_an_unready_pod_to_which_requests_still_go_is_taken_out_of_traffic_first() -> None:
    """Stopped at once, it would leave those unanswered that are on their way to it."""
    before = shrunk(failing("a"), failing("b"), size=0)
    during = shrunk(failing("a", 1), failing("b", 1), size=0)
    after = shrunk(failing("a", 2), failing("b", 2), size=0)

    assert (before.size, set(before.mark)) == (2, {"uid-a", "uid-b"})
    assert (during.size, during.wake_at) == (2, ago(1) + SETTLE)
    assert after.size == 0


def test_what_an_unready_pod_has_begun_is_waited_for_if_it_tells() -> None:
    """Not longer than for any other; one that tells nothing any more is not waited for."""
    works = {"a": reading(1)}

    assert shrunk(failing("a", 30), size=0, readings=works).size == 1
    assert shrunk(failing("a", 62), size=0, readings=works).size == 0
    assert shrunk(failing("a", 30), size=0).size == 0


def test_an_unready_pod_that_has_to_stay_is_not_taken_for_a_ready_one() -> None:
    """The ReplicaSet would remove it first, however much cheaper the other is."""
    done = draining("b", 30, released=True)
    readings = {"a": reading(1), "b": reading(0)}

    found = shrunk(failing("a", 30), done, Pod(name="c"), size=1, readings=readings)

    assert found.size == 3


def test_no_pod_is_marked_where_all_go_at_once() -> None:
    """With nothing to choose between, a write on each of a broken version's pods is saved."""
    found = shrunk(Pod(name="a", ready=False), Pod(name="b", ready=False), size=0)

    assert found == Shrinking(size=0, mark={}, unmark=(), wake_at=None)


@pytest.mark.parametrize("gone", [Pod(name="a", deleting=True), Pod(name="a", finished=True)])
def test_a_pod_that_is_gone_takes_no_place(gone: Pod) -> None:
    """The ReplicaSet counts it no more, so one of two of its places is empty already."""
    found = shrunk(gone, Pod(name="b"), size=1, current=2)

    assert (found.size, found.mark) == (1, {})


def test_a_pod_that_is_gone_is_not_mistaken_for_one_that_may_go() -> None:
    """Both others have work: lowering the size because of the first would take one of them."""
    found = shrunk(Pod(name="a", deleting=True), Pod(name="b"), Pod(name="c"), size=1, current=2)

    assert (found.size, set(found.mark)) == (2, {"uid-b"})


def test_pods_still_to_be_removed_are_not_counted_twice() -> None:
    """The ReplicaSet was lowered for the first and has not followed yet."""
    found = shrunk(
        draining("a", 9, released=True),
        draining("b", 9),
        Pod(name="c"),
        size=1,
        current=2,
        readings={"a": reading(0), "b": reading(1)},
    )

    assert found.size == 2


def test_the_longest_marked_go_on_draining() -> None:
    """With one pod fewer to go, the one that was marked last is taken back."""
    found = shrunk(draining("a", 1), draining("b", 9), Pod(name="c"), size=2)

    assert (found.mark, found.unmark) == ({}, ("uid-a",))


def test_a_mark_just_made_is_kept_though_its_time_is_rounded_up() -> None:
    """Else the next look would pass it on to another pod."""
    found = shrunk(Pod(name="a"), draining("b", -0.5), size=1)

    assert (found.mark, found.unmark) == ({}, ())


def test_growing_takes_back_what_was_marked() -> None:
    """At once, and whatever the pods have left to do."""
    found = shrunk(draining("a", 1), draining("b", 9, released=True), size=3)

    assert found == Shrinking(size=3, mark={}, unmark=("uid-b", "uid-a"), wake_at=None)


def test_a_wanted_pod_that_somebody_took_out_of_traffic_is_put_back() -> None:
    """So is one that was made before the label existed."""
    assert shrunk(Pod(name="a", in_traffic=False), size=1).unmark == ("uid-a",)


@pytest.mark.parametrize(
    "pod",
    [
        replace(draining("a", 500), in_traffic=True),
        replace(draining("a", 500), draining_since=None),
        draining("a", -500),
    ],
    ids=["back in traffic", "without a time", "from the future"],
)
def test_a_mark_that_cannot_be_believed_is_made_anew(pod: Pod) -> None:
    """Its time begins now; a clock that was wrong holds no pod for ever."""
    found = shrunk(pod, size=0)

    assert found.size == 1
    assert found.mark == {"uid-a": Mark(since=NOW, released=False)}


def test_while_others_work_a_pod_is_released_before_it_goes() -> None:
    """Marked alike, the ReplicaSet could remove the wrong one."""
    told = {"a": reading(0), "b": reading(7)}
    first = shrunk(draining("a", 5), draining("b", 5), Pod(name="c"), size=1, readings=told)
    second = shrunk(
        draining("a", 5, released=True), draining("b", 5), Pod(name="c"), size=1, readings=told
    )

    assert (first.size, first.mark) == (3, {"uid-a": Mark(since=ago(5), released=True)})
    assert (second.size, second.mark) == (2, {})


def test_a_released_pod_that_gets_a_late_request_is_held_again() -> None:
    """Until that is written no pod goes, because it would be this one. Its deadline stays."""
    found = shrunk(
        draining("a", 5, released=True),
        draining("b", 5, released=True),
        size=0,
        readings={"a": reading(1), "b": reading(0)},
    )

    assert found.size == 2
    assert found.mark == {"uid-a": Mark(since=ago(5), released=False)}


def test_of_several_deadlines_the_next_one_wakes() -> None:
    """Between two of them nothing changes by itself."""
    found = shrunk(draining("a", 5), draining("b", 9), size=0)

    assert found.wake_at == ago(9) + SETTLE + TIMEOUT


@pytest.mark.parametrize(("released", "cost"), [(False, "-1000"), (True, "-2000")])
def test_a_released_pod_is_the_cheaper_one(released: bool, cost: str) -> None:
    """The ReplicaSet removes the pod with the lowest cost first."""
    assert Mark(since=NOW, released=released).cost == cost


def test_the_time_of_a_mark_is_rounded_up() -> None:
    """Rounded down, a wait would end up to a second early."""
    assert mark_time(NOW) == NOW
    assert mark_time(NOW + timedelta(microseconds=1)) == NOW + timedelta(seconds=1)


marks = st.none() | st.integers(-5, 70).map(ago)


@st.composite
def some_pods(draw: st.DrawFn) -> list[Pod]:
    return [
        Pod(
            name=name,
            ready=draw(st.booleans()),
            admitted=draw(st.booleans()),
            deleting=draw(st.booleans()),
            finished=draw(st.booleans()),
            in_traffic=draw(st.booleans()),
            draining_since=draw(marks),
            released=draw(st.booleans()),
        )
        for name in "abcdef"[: draw(st.integers(0, 6))]
    ]


some_readings = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        reading,
        st.none() | st.integers(0, 2),
        age=st.integers(0, 70),
        since_last=st.none() | st.integers(0, 1),
    ),
)

situations = given(
    pods=some_pods(),
    size=st.integers(0, 7),
    current=st.integers(0, 7),
    readings=some_readings,
    reports=st.booleans(),
)


def alive(pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if not pod.deleting and not pod.finished]


def marked(pods: Sequence[Pod], found: Shrinking) -> list[Pod]:
    """The pods after the marks have been written."""
    written = []
    for pod in pods:
        if mark := found.mark.get(pod.uid):
            pod = replace(pod, in_traffic=False, draining_since=mark.since, released=mark.released)
        elif pod.uid in found.unmark:
            pod = replace(pod, in_traffic=True, draining_since=None, released=False)
        written.append(pod)
    return written


@situations
def test_the_size_is_between_what_is_and_what_is_to_be(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """Never below the aim, and above what there is only to reach it."""
    found = shrunk(*pods, size=size, current=current, readings=readings, reports=reports)

    assert size <= found.size <= max(size, current)


@situations
def test_the_size_is_lowered_by_no_pod_that_may_have_work(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """There is room for every ready pod that has requests in flight and time left, or serves."""
    found = shrunk(*pods, size=size, current=current, readings=readings, reports=True)

    busy = [
        pod
        for pod in alive(pods)
        if pod.ready
        and (
            pod.in_traffic
            or pod.draining_since is None
            or pod.draining_since + SETTLE + TIMEOUT > NOW
        )
        and (pod.in_traffic or pod.name not in readings or readings[pod.name].in_flight)
    ]
    assert found.size >= min(current, len(busy))


@situations
def test_exactly_the_excess_is_marked(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """Too many marks would take capacity, too few would let a pod go that still serves."""
    found = shrunk(*pods, size=size, current=current, readings=readings, reports=reports)

    living = alive(marked(pods, found))
    out = [pod for pod in living if pod.draining_since is not None and not pod.in_traffic]
    assert len(out) == max(0, len(living) - size) or (size == 0 == found.size)
    assert all(pod.in_traffic for pod in living if pod not in out) or size == 0


@situations
def test_marks_that_are_written_are_not_written_again(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """Whoever starts anew finds the work done, and keeps to the same pods."""
    first = shrunk(*pods, size=size, current=current, readings=readings, reports=reports)
    second = shrunk(
        *marked(pods, first), size=size, current=current, readings=readings, reports=reports
    )

    assert (second.mark, second.unmark) == ({}, ())
    assert second.size <= max(size, first.size)


@situations
def test_the_order_of_the_pods_does_not_matter(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """The store knows no order, so another process would decide the same."""
    found = shrunk(*pods, size=size, current=current, readings=readings, reports=reports)
    turned = shrunk(*pods[::-1], size=size, current=current, readings=readings, reports=reports)

    assert found == turned


@situations
def test_one_is_never_woken_for_the_past(
    pods: list[Pod], size: int, current: int, readings: dict[str, Reading], reports: bool
) -> None:
    """A time that is over already would be looked at again and again."""
    found = shrunk(*pods, size=size, current=current, readings=readings, reports=reports)

    assert found.wake_at is None or found.wake_at > NOW


class Machine:
    """A ReplicaSet whose controller is slow and chooses as it likes, and pods that work."""

    def __init__(self, data: st.DataObject, *, count: int) -> None:
        self.data = data
        self.now = NOW
        self.current = count
        self.pods = {name: Pod(name=name) for name in "abcdef"[:count]}
        self.in_flight = dict.fromkeys(self.pods, 1)
        self.finishes = {name: data.draw(st.booleans()) for name in self.pods}

    def decide(self, size: int) -> Shrinking:
        return shrink(
            current=self.current,
            size=size,
            pods=list(self.pods.values()),
            readings={
                pod.uid: replace(reading(self.in_flight[pod.name]), at=self.now)
                for pod in self.pods.values()
            },
            reports=True,
            settle=SETTLE,
            timeout=TIMEOUT,
            now=self.now,
        )

    def carry_out(self, found: Shrinking, *, writes: int) -> None:
        """Write in the order that is promised; the process may be killed after so many writes."""
        if found.size > self.current:
            self.current, writes = found.size, writes - 1
        for uid in [*found.mark, *found.unmark]:
            if writes > 0:
                self._write(uid, found)
                writes -= 1
        if writes > 0:
            self.current = found.size

    def _write(self, uid: str, found: Shrinking) -> None:
        (old,) = (pod for pod in self.pods.values() if pod.uid == uid)
        (new,) = marked([old], found)
        self.pods[new.name] = new

    def remove_one(self) -> Pod | None:
        """What the controller of ReplicaSets does, choosing anyhow between pods of one rank."""
        if len(self.pods) <= self.current:
            return None
        ranks = {name: self._rank(pod) for name, pod in self.pods.items()}
        first = [name for name, rank in ranks.items() if rank == min(ranks.values())]
        return self.pods.pop(self.data.draw(st.sampled_from(first)))

    @staticmethod
    def _rank(pod: Pod) -> tuple[bool, int]:
        cost = 0 if pod.in_traffic else (-2000 if pod.released else -1000)
        return (pod.ready, cost)

    def had_its_time(self, pod: Pod) -> bool:
        return pod.draining_since is not None and self.now >= pod.draining_since + SETTLE + TIMEOUT

    def work(self) -> None:
        """Requests end and, until traffic has settled, begin; here and there a pod breaks."""
        for name, pod in self.pods.items():
            most = self.in_flight[name] if self._is_settled(pod) else 1
            least = 0 if self._is_settled(pod) and self.finishes[name] else most
            self.in_flight[name] = self.data.draw(st.integers(least, most))
            if self.data.draw(st.integers(0, 9)) == 9:
                self.pods[name] = replace(pod, ready=False)

    def _is_settled(self, pod: Pod) -> bool:
        return pod.draining_since is not None and self.now >= pod.draining_since + SETTLE


@given(data=st.data(), count=st.integers(1, 5))
def test_no_request_is_lost_whatever_is_killed_and_chosen(data: st.DataObject, count: int) -> None:
    """Of ready pods only those go that have nothing in flight or have had their time."""
    machine = Machine(data, count=count)
    size = data.draw(st.integers(0, count), label="size")

    for _ in range(12):
        size = data.draw(st.just(size) | st.integers(0, count), label="size")
        machine.carry_out(machine.decide(size), writes=data.draw(st.integers(0, 4) | st.just(9)))
        if data.draw(st.booleans(), label="controller is there"):
            while pod := machine.remove_one():
                lost = pod.ready and machine.in_flight[pod.name] > 0
                assert not lost or machine.had_its_time(pod)
        machine.now += timedelta(seconds=data.draw(st.sampled_from([0, 1, 3, 70])))
        machine.work()


@given(data=st.data(), count=st.integers(1, 5))
def test_shrinking_comes_to_its_end(data: st.DataObject, count: int) -> None:
    """Also with pods that never finish, and looking only when woken."""
    machine = Machine(data, count=count)
    size = data.draw(st.integers(0, count), label="size")

    for _ in range(4 * count + 4):
        found = machine.decide(size)
        machine.carry_out(found, writes=99)
        while machine.remove_one():
            pass
        machine.now = max(machine.now, found.wake_at or machine.now)

    assert machine.current == len(machine.pods) == size
    assert all(pod.in_traffic for pod in machine.pods.values())
