"""What swaps of models under load are counted as, and what may be claimed of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.sight import Seen, Sight
from tests.load.answer import Answer, Failure
from tests.load.report import Report
from tests.long.model_figures import of_pairs, of_swaps, of_weights
from tests.long.pairs import Difference, Pair, Window, difference, window
from tests.long.swaps import COURSES, PROMOTED, WRONG, Course, Ended, counted
from tests.long.weights import Patch, first_request, followed

BEGIN = 1000.0
BY_NAME = {course.to: course for course in COURSES}


def answer(number: int, version: str = "v1", **more: Any) -> Answer:
    """One that was sent so many seconds after the beginning."""
    plain = {"number": number, "at": BEGIN + number, "latency": 0.1, "code": 200}
    return Answer(**(plain | {"version": version} | more))


def failed(number: int, version: str = "", code: int = 502) -> Answer:
    failure = Failure.ERROR if code else Failure.CLOSED
    return answer(number, version, code=code, failure=failure)


def ended(course: Course, *, asked: float, decided: float, over: float, **more: Any) -> Ended:
    """A course that went as it was to, from v1; moments since the beginning."""
    plain: dict[str, Any] = {
        "course": course,
        "serving": "v1",
        "asked": BEGIN + asked,
        "decided": BEGIN + decided,
        "over": BEGIN + over,
        "told": 3,
        "recorded": ("v1", course.to, course.ends),
        "trigger": None if course.ends == PROMOTED else "ErrorRate",
    }
    return Ended(**(plain | more))


GIVEN_UP = ended(BY_NAME[WRONG], asked=1, decided=4, over=7)
TAKEN_OVER = ended(BY_NAME["v2"], asked=9, decided=12, over=14)

REPORT = Report.of(
    [
        *(answer(number) for number in (0, 1, 2, 5, 6, 7, 8, 9, 10, 12)),
        answer(3, WRONG),
        failed(4, WRONG, 500),
        *(answer(number, "v2") for number in (11, 13, 14, 15)),
    ]
)


def under_load(*more: Answer, **changed: Any) -> dict[str, Any]:
    found = counted(Report.of([*REPORT.answers, *more]), [GIVEN_UP, TAKEN_OVER], begin=BEGIN)
    return {**found, **changed}


# Swaps


def test_the_errors_of_the_version_that_is_there_to_fail_are_told_apart() -> None:
    found = under_load()

    assert (found["lost"], found["failed by the new version"]) == (0, 1)
    assert found["requests"]["sent"] == 16
    assert {"by": WRONG, "code": 500, "count": 1} in found["requests"]["counts"]


@pytest.mark.parametrize(
    "lost",
    [failed(16, "v2", 500), failed(16), failed(16, "", 0)],
    ids=["by the one that serves", "by the Gateway", "by nobody"],
)
def test_every_other_failure_is_a_lost_request(lost: Answer) -> None:
    found = under_load(lost)

    assert found["lost"] == 1
    assert not of_swaps("swaps", found, requests=1).kept


def test_the_times_of_a_swap_count_from_when_it_was_asked_for() -> None:
    """Until the last request was sent that the version answered which served before."""
    swap = under_load()["courses"][1]

    assert (swap["at"], swap["first request"], swap["last request"]) == (9, 2, 3)
    assert (swap["over"], swap["told"]) == (5, 3)


def test_the_last_request_of_a_rollback_counts_from_when_it_was_decided() -> None:
    """And from the moment on that decided it no time is negative."""
    rollback = under_load(answer(5, WRONG))["courses"][0]

    assert (rollback["last request"], rollback["over since decided"]) == (1, 3)
    assert under_load()["courses"][0]["last request"] == 0


def test_requests_are_counted_for_the_course_in_which_they_were_sent() -> None:
    """Up to when the next one was asked for."""
    rollback, swap = under_load()["courses"]

    assert sum(each["count"] for each in rollback["counts"]) == 8
    assert {"by": "v2", "code": 200, "count": 4} in swap["counts"]


@pytest.mark.parametrize(
    ("recorded", "right"),
    [
        (("v1", "v2", "Promoted"), True),
        (("v1", "v2", "RolledBack"), False),
        (("v1", "v3", "Promoted"), False),
        (("v3", "v2", "Promoted"), False),
    ],
)
def test_a_course_is_right_if_the_status_tells_just_that(
    recorded: tuple[str, str, str], *, right: bool
) -> None:
    found = ended(BY_NAME["v2"], asked=9, decided=12, over=14, recorded=recorded)

    outcome = of_swaps("swaps", counted(REPORT, [found], begin=BEGIN), requests=1)

    assert outcome.kept is right


@pytest.mark.parametrize(
    ("sent_until", "requests", "kept"), [(15, 16, True), (13, 16, False), (15, 17, False)]
)
def test_all_of_it_is_under_load_and_the_load_is_large_enough(
    sent_until: float, requests: int, *, kept: bool
) -> None:
    found = under_load(**{"sent until": sent_until})

    assert of_swaps("swaps", found, requests=requests).kept is kept


def test_ten_take_over_three_do_not_and_the_operator_dies_in_three() -> None:
    outcomes = [course.ends for course in COURSES]

    assert (outcomes.count(PROMOTED), len(outcomes)) == (10, 13)
    assert sum(course.killed for course in COURSES) == 3


def test_each_course_begins_with_a_version_that_does_not_serve() -> None:
    """And no more are registered than may be."""
    serving, used = "v1", {"v1"}
    for course in COURSES:
        asked = course.spec(serving)
        tried = asked["canary"]["version"] if asked["canary"] else asked["activeVersion"]
        assert tried == course.to != serving
        used.add(tried)
        serving = tried if course.ends == PROMOTED else serving
    assert len(used) <= 16


# Weights


class Told(Sight):
    """A sight of which is known what it saw."""

    def __init__(self, *told: tuple[float, Any]) -> None:
        self.seen = [Seen(at=BEGIN + at, type="MODIFIED", object=found) for at, found in told]


def route(weight: int) -> dict[str, Any]:
    refs = [{"name": "m", "weight": 100 - weight}, {"name": "m-1", "weight": weight}]
    return {"spec": {"rules": [{"backendRefs": refs}]}}


def model(weight: int, *, observed: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"generation": 1},
        "status": {
            "observedGeneration": observed,
            "versions": [{"name": "v2", "weight": weight}],
            "conditions": [{"type": "TrafficApplied", "status": "True"}],
        },
    }


def test_what_follows_from_a_patch_is_the_first_that_comes_after_it() -> None:
    """A route that is seen as it was, and a status of another generation, are not meant."""
    report = Report.of(
        [answer(0), answer(3, "v2"), answer(4), answer(6, "v2"), *map(answer, (7, 8))]
    )
    routes = Told((0.5, route(20)), (1.2, route(0)), (2, route(20)), (5.5, route(0)))
    models = Told((1.1, model(20, observed=0)), (2.5, model(20)), (5.6, model(0)))
    patches = [(20, BEGIN + 1), (0, BEGIN + 5)]

    up, down = followed(report, patches, routes, models, over=BEGIN + 9)

    assert up == Patch(weight=20, write=1, request=2, told=1.5)
    assert (down.write, down.request, down.told) == pytest.approx((0.5, 2, 0.6))


def test_without_a_request_to_the_canary_the_first_of_all_is_at_weight_0() -> None:
    assert first_request(Report.of([answer(3), answer(4)]), 0) == BEGIN + 3


def test_a_weight_that_nobody_sees_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no request reached the canary"):
        first_request(Report.of([answer(3), answer(4)]), 20)


@pytest.mark.parametrize(("request_", "reached"), [(0.2, True), (0.3, False)])
def test_a_slow_machine_misses_the_goal_and_breaks_no_promise(
    request_: float, *, reached: bool
) -> None:
    patches = [
        Patch(weight=20, write=0.03, request=request_, told=0.1),
        Patch(weight=0, write=0.03, request=0.9, told=0.1),
    ]

    outcome = of_weights("weights", patches, REPORT.where(lambda found: not found.failure))

    assert outcome.kept
    assert outcome.figures["goal"]["reached"] is reached
    assert outcome.figures["all"]["down"]["request"]["p99"] == 0.9


def test_no_failure_at_all_may_come_of_a_weight() -> None:
    """Not even from the version that is tried: there is nothing wrong with it."""
    patches = [Patch(weight=20, write=0.03, request=0.1, told=0.1)]

    assert not of_weights("weights", patches, REPORT).kept
    assert not of_weights("weights", [], Report.of([])).kept


# Pairs


def plain(latency: float, *, failed: int = 0) -> Window:
    return Window(seconds=15, sent=1500, failed=failed, mean=latency, p95=2 * latency)


def pair(percent: float, *, failed: int = 0) -> Pair:
    swap = plain(0.1 * (1 + percent / 100), failed=failed)
    return Pair(quiet=plain(0.1), swap=swap, quiet_first=True)


def test_a_window_has_what_was_sent_in_it_and_means_of_what_was_answered() -> None:
    report = Report.of([answer(0), answer(1), answer(2, latency=0.3), failed(3, "", 0), answer(4)])

    found = window(report, BEGIN + 1, BEGIN + 4)

    assert (found.sent, found.failed, found.seconds) == (3, 1, 3)
    assert (found.mean, found.p95) == pytest.approx((0.2, 0.3))


def test_a_difference_is_in_percent_of_the_quiet_time() -> None:
    assert (pair(5).mean, pair(5).p95) == pytest.approx((5, 5))


def test_the_interval_is_as_wide_as_that_of_a_mean() -> None:
    """1.96 standard errors on either side, as it has to be for so many."""
    percents = [-1.0, 1.0] * 50

    found = difference(percents)

    assert found.mean == 0
    assert found.noise == pytest.approx(0.196, rel=0.05)
    assert found == difference(percents)


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (-0.5, 0.5, "below 1 %"),
        (0.2, 1.4, "nothing: 1 % is inside"),
        (1.5, 2.0, "not below 1 %"),
        (-1.0, 1.0, "nothing: the noise is too large"),
        (4.0, 9.0, "nothing: the noise is too large"),
    ],
)
def test_nothing_is_claimed_that_the_noise_does_not_allow(
    low: float, high: float, claim: str
) -> None:
    assert Difference(mean=(low + high) / 2, low=low, high=high).claim == claim


def test_pairs_are_kept_if_nothing_failed_however_much_they_differ() -> None:
    outcome = of_pairs("pairs", [pair(30), pair(50)])

    assert outcome.kept
    assert outcome.figures["mean"]["mean"] == pytest.approx(40)
    assert not of_pairs("pairs", [pair(0, failed=1)]).kept
    assert not of_pairs("pairs", []).kept
