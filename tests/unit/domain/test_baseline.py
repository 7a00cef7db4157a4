"""Fresh pods of the stable version: when they are wanted, and who takes them for what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, pod_view, set_view
from tests.unit.domain.runs import NEW, OLD, ROLLBACK, begun, found, seen_with, sets, went
from tests.unit.domain.test_judgement import COUNTERS, EAGER, STEP, strategy, told

from agentherd.api import Verdict
from agentherd.domain import children
from agentherd.domain.kinds import BASELINE_LABEL
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.situation import failure_of
from agentherd.domain.upgrades.baseline import fresh_sizes
from agentherd.domain.upgrades.change import choose
from agentherd.domain.upgrades.run import weight_seen

SIZES = {OLD.hash: 2, NEW.hash: 1}
FRESH = EAGER | {"baseline": "Fresh"}
ALL = strategy(steps=[{"weight": 0}, {"weight": 100}])
METRICS: dict[str, Any] = {"metrics": {}}


def at_a_step(
    analysis: dict[str, Any] = FRESH, *, seen: dict[str, Any] | None = None, **status: Any
) -> AgentObservation:
    known = {"steps": 2, "strategy": strategy() | {"analysis": analysis}, **STEP}
    return seen_with(begun(status=known | status), **METRICS | (seen or {}))


def sizes_of(seen: AgentObservation, sizes: dict[str, int] = SIZES) -> dict[str, int]:
    """The sizes of baselines after the move that follows from what is seen."""
    run = went(seen)
    stable = run.serving if run is not None else seen.agent.status.stable_revision
    return dict(fresh_sizes(seen, run, sizes, stable=stable))


def alone(*, ready: bool = True, **own: Any) -> dict[str, Any]:
    """One fresh pod of the stable version beside those of its own, two unless it says else."""
    baseline = set_view(OLD.hash, name="b", baseline=True, wanted=1)
    fresh = pod_view("f", revision=OLD.hash, baseline=True, ready=ready)
    return {"replica_sets": sets(old=own) | {"b": baseline}, "pods": {"f": fresh}}


def test_the_baseline_has_as_many_pods_as_the_new_version() -> None:
    assert sizes_of(at_a_step(weightSince=None)) == {OLD.hash: 1}


@pytest.mark.parametrize(
    ("available", "present", "size"),
    [(0, 0, 0), (1, 0, 1), (2, 1, 2), (0, 1, 1), (1, 2, 2), (3, 3, 2)],
    ids=["none yet", "the first", "one more", "it fails", "one of two fails", "too many"],
)
def test_fresh_pods_come_after_those_of_the_new_version(
    available: int, present: int, size: int
) -> None:
    """They must not take the room of what they are compared with; and do not leave for a moment."""
    baseline = set_view(OLD.hash, name="b", baseline=True, wanted=present)
    seen = at_a_step(seen={"replica_sets": sets(new={"available": available}) | {"b": baseline}})

    assert sizes_of(seen, {OLD.hash: 2, NEW.hash: 2}).get(OLD.hash, 0) == size


@pytest.mark.parametrize(
    "seen",
    [
        seen_with(),
        at_a_step(EAGER),
        at_a_step(step=1, weight=0, weightSince=None),
        seen_with(begun("Promoting", status={"step": 3}), **METRICS),
        seen_with(begun("Succeeded"), stable=NEW.hash, **METRICS),
        at_a_step(steps=0, step=0, weight=0),
        at_a_step(strategy=ALL | {"analysis": FRESH}, weight=100),
        at_a_step(seen={"metrics": None}),
    ],
    ids=[
        "no upgrade",
        "the stable pods",
        "no requests",
        "promotion",
        "the end",
        "no steps",
        "all requests",
        "no metrics",
    ],
)
def test_otherwise_there_is_none(seen: AgentObservation) -> None:
    assert sizes_of(seen) == {}


@pytest.mark.parametrize(
    ("beside", "size"),
    [(alone(available=0), 1), (alone(), 0), (alone(available=0, ready=False), 0)],
    ids=["alone", "beside others", "unready as they are"],
)
@pytest.mark.parametrize("phase", ["RollingBack", "RolledBack"])
def test_the_only_pod_that_answers_is_kept(phase: str, beside: dict[str, Any], size: int) -> None:
    """On the way back, while the stable version has none of its own."""
    sizes = sizes_of(at_a_step(phase=phase, rollback=ROLLBACK, seen=beside))

    assert sizes.get(OLD.hash, 0) == size


def test_fresh_pods_are_stable_ones_to_whoever_sends_requests() -> None:
    """They have all labels of the others, and one more by which their ReplicaSet knows them."""
    one = agent()
    whole = children.replica_set(one, revision_of(one.spec))
    baseline = children.baseline(one, revision_of(one.spec))

    def labels(manifest: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = manifest["spec"]["template"]["metadata"]["labels"]
        return found

    assert baseline["metadata"]["name"] == whole["metadata"]["name"] + "-baseline"
    assert labels(baseline) == labels(whole) | {BASELINE_LABEL: "true"}
    selector = baseline["spec"]["selector"]["matchLabels"]
    assert selector == whole["spec"]["selector"]["matchLabels"] | {BASELINE_LABEL: "true"}


def test_a_revision_has_one_replica_set_beside_its_baseline() -> None:
    """Whoever asks for sizes must not get those of fresh pods."""
    sets = [set_view(OLD.hash), set_view(OLD.hash, name="b", baseline=True, wanted=1)]
    pods = [
        pod_view("p", revision=OLD.hash),
        pod_view("q", revision=OLD.hash, baseline=True),
    ]
    seen = seen_with(
        replica_sets={view.name: view for view in sets}, pods={pod.name: pod for pod in pods}
    )

    assert [view.wanted for view in seen.sets()] == [2]
    assert [view.name for view in seen.baselines()] == ["b"]
    assert [pod.name for pod in seen.pods_of(OLD.hash)] == ["p"]
    assert [pod.name for pod in seen.pods_of(OLD.hash, baseline=True)] == ["q"]


def test_requests_of_fresh_pods_are_requests_of_the_stable_version() -> None:
    """The weight that is seen is measured at all of its pods."""
    pods = {
        "n": pod_view("n", revision=NEW.hash),
        "o": pod_view("o", revision=OLD.hash),
        "f": pod_view("f", revision=OLD.hash, baseline=True),
    }
    recent = {"n": 20.0, "o": 20.0, "f": 60.0}
    readings = {
        f"uid-of-{name}": told(0).__class__(
            recent=each, in_flight=0, at=NOON, seconds=10, since_last=each
        )
        for name, each in recent.items()
    }

    seen = seen_with(pods=pods, readings=readings)

    assert weight_seen(seen, new=NEW.hash, old=OLD.hash) == 20


@pytest.mark.parametrize("requests", [0, 500], ids=["too few seen", "enough seen"])
def test_without_a_fresh_pod_the_step_is_held_and_says_so(requests: int) -> None:
    """However many requests the other stable pods have had, or it had before it was gone."""
    run = found(without_a_fresh_pod(requests))

    assert run.status.analysis is not None
    assert run.status.analysis.canary.requests == 0
    assert "no fresh pod of the stable version is ready yet" in run.move.message


def test_that_fresh_pods_are_gone_after_the_steps_takes_no_verdict_back() -> None:
    """Nothing is compared any more while the new version gets all its pods."""
    sides = {"canary": {"requests": 500}, "stable": {"requests": 500}}
    seen = without_a_fresh_pod(500, phase="Promoting", **sides)

    run = found(seen)

    assert run.status.analysis is not None
    assert run.status.analysis.verdict is Verdict.PASS


def test_why_fresh_pods_are_refused_is_told_by_the_upgrade() -> None:
    """The Agent serves as before: it is in no error because nothing can be compared."""
    quota = Failure(reason=Reason.FORBIDDEN, message="exceeded quota", generation=2, retry_at=NOON)
    refused = {Ref("ReplicaSet", f"greeter-{OLD.hash}-baseline"): quota}
    seen = replace(without_a_fresh_pod(0), failures=refused)

    assert "is ready yet: exceeded quota" in found(seen).move.message
    assert failure_of(seen, choose(seen), OLD.hash, NOON) is None


def without_a_fresh_pod(
    requests: int, phase: str = "Progressing", **known: Any
) -> AgentObservation:
    """A step at which so many requests were seen when there was one."""
    notes = [{"uid": f"uid-of-{name}", "requests": 100, "errors": 0} for name in ("new", "old")]
    analysis = {"verdict": "Inconclusive", "since": NOON, "pods": notes, "counters": COUNTERS}
    analysis |= {"stepRequests": requests} | known
    status = {"steps": 2, "strategy": strategy() | {"analysis": FRESH}, "analysis": analysis}
    views = (pod_view("new", revision=NEW.hash), pod_view("old", revision=OLD.hash))

    return seen_with(
        begun(phase, status=status | STEP | {"weightSince": NOON.replace(hour=11)}),
        pods={view.name: view for view in views},
        readings={"uid-of-new": told(190), "uid-of-old": told(190)},
        **METRICS,
    )
