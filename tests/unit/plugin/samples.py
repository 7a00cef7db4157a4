"""Agents and upgrades as an operator leaves them, at moments that people look at.

All of it happens to Agent `hello`, which goes from 1.4.1 to 1.4.2 in three steps; `NOW` is when
somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentherd.api import Agent, AgentUpgrade
from agentherd.api.analysis import Evidence, Side
from agentherd.domain.judging.evidence import observe

NOON: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOW: Final = NOON + timedelta(seconds=95)
OLD: Final = "404ddc5402"
NEW: Final = "9abc01ef22"
OLDER: Final = "1111111111"

GOOD: Final = (200, 1, 18_000_000)
"""Requests of a look, errors, microseconds: 90 ms each."""


def at(seconds: float) -> str:
    """A time so many seconds after noon."""
    return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def agent(name: str = "hello", **changes: Any) -> Agent:
    """An Agent that serves with two pods."""
    spec = {"template": {"spec": {"containers": []}}, "replicas": 2, "version": "1.4.2"}
    status = {
        "observedGeneration": 3,
        "phase": "Online",
        "phaseSince": at(-3600),
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 2,
        "stableRevision": OLD,
        "targetRevision": NEW,
        "upgrade": f"{name}-3",
        "formerRevisions": [OLDER],
        "conditions": [
            condition("Ready", "False", "RollingOut", f"upgrade {name}-3 runs: step 2 of 3")
        ],
    }
    metadata = {"name": name, "namespace": "shop", "generation": 3, "uid": f"uid-of-{name}"}
    return Agent.model_validate(
        {"metadata": metadata, "spec": spec, "status": status | changes.pop("status", {})} | changes
    )


def upgrade(name: str = "hello-3", *, spec: Any = None, **status: Any) -> AgentUpgrade:
    """An upgrade at its second step of three, of which nothing was measured."""
    begun = {
        "observedGeneration": 1,
        "phase": "Progressing",
        "attempt": 1,
        "fromRevision": OLD,
        "toRevision": NEW,
        "fromVersion": "1.4.1",
        "toVersion": "1.4.2",
        "strategy": strategy(),
        "steps": 3,
        "step": 2,
        "weight": 25,
        "weightSeen": 24,
        "startedAt": at(0),
        "weightSince": at(60),
        "history": [
            entry("Progressing", "UpgradeStarted", f"from revision {OLD} to {NEW}", 0),
            entry("Progressing", "StepReached", "step 1 of 3: weight 5", 5),
            entry("Progressing", "StepReached", "step 2 of 3: weight 25", 60),
        ],
        "conditions": [
            condition("Validated", "True", "Valid", "it can be made as it is written"),
            condition(
                "Progressing", "True", "StepReached", "step 2 of 3, weight 25 until 12:01:40 UTC"
            ),
            condition("Succeeded", "Unknown", "StepReached", ""),
        ],
    }
    metadata = {
        "name": name,
        "namespace": "shop",
        "generation": 1,
        "uid": f"uid-of-{name}",
        "resourceVersion": "7",
        "creationTimestamp": at(-1),
    }
    wanted = {"targetRef": {"name": "hello"}} | (spec or {})
    return AgentUpgrade.model_validate(
        {"metadata": metadata, "spec": wanted, "status": begun | status}
    )


def pending(name: str = "hello-3", **changes: Any) -> AgentUpgrade:
    """One that waits for approval before it begins."""
    message = f"revision {NEW} needs approval before the upgrade begins; kubectl agentherd approve"
    conditions = [
        condition("Validated", "True", "Valid", "it can be made as it is written"),
        condition("Approved", "False", "ApprovalRequired", message),
        condition("Progressing", "False", "ApprovalRequired", message),
    ]
    raw = upgrade(name).model_dump(by_alias=True, exclude_none=True)
    raw["status"] = {"observedGeneration": 1, "phase": "Pending", "conditions": conditions}
    raw["spec"] |= changes
    return AgentUpgrade.model_validate(raw)


def judged(name: str = "hello-3", **status: Any) -> AgentUpgrade:
    """One at its second step whose new version does well so far."""
    looks = [(5, (20, 0, 1_900_000))] * 10 + [(25, (60, 0, 5_600_000))] * 5
    return upgrade(
        name,
        analysis=analysis(
            looks,
            verdict="Inconclusive",
            message="14 of 20 requests were answered at step 2, 0 of them with an error (stable: "
            "0.5 %): 6 more are needed",
            stepRequests=14,
        ),
        **status,
    )


def worse(name: str = "hello-3", **changes: Any) -> AgentUpgrade:
    """One that was rolled back because its errors are more."""
    message = (
        "31 % of 520 requests failed in the new version, 0.5 % of 3600 in the stable one: that "
        "is more than 2 times as many, with a certainty of 99 %"
    )
    looks = [(5, (20, 0, 1_900_000))] * 10 + [(25, (40, 20, 3_700_000))] * 8
    record = {
        "trigger": "ErrorRate",
        "reason": message,
        "requestedBy": "agentherd",
        "at": at(90),
        "finishedAt": at(91),
        "durationSeconds": 1,
    }
    return upgrade(
        name,
        **{
            "phase": "RolledBack",
            "weight": 0,
            "finishedAt": at(91),
            "rollback": record,
            "analysis": analysis(
                looks, verdict="Fail", message=message, score=(0, 1000, 700), metrics=True
            ),
            "strategy": strategy(metrics=True),
            "controls": [control("Paused", "kubectl", 62), control("Resumed", "kubectl", 66)],
            "history": [
                entry("Progressing", "StepReached", "step 2 of 3: weight 25", 60),
                entry("RollingBack", "ErrorRate", message, 90),
                entry("RolledBack", "RolledBack", f"ErrorRate: {message}", 91),
            ],
            "conditions": [
                condition("Progressing", "False", "RolledBack", f"ErrorRate: {message}"),
                condition("Analyzed", "False", "ErrorRate", message),
            ],
            "spec": {
                "feedback": [
                    {"from": "ada", "rating": 2, "comment": "answers are cut off"},
                    {"from": "tester", "rating": 4},
                ]
            },
        }
        | changes,
    )


def succeeded(name: str = "hello-3", **status: Any) -> AgentUpgrade:
    """One that has ended well."""
    return upgrade(
        name,
        **{
            "phase": "Succeeded",
            "step": 3,
            "weight": 100,
            "finishedAt": at(90),
            "conditions": [
                condition("Progressing", "False", "UpgradeSucceeded", f"revision {NEW} serves")
            ],
        }
        | status,
    )


def failed_by_tester() -> AgentUpgrade:
    """One of which a tester has said that it is bad."""
    told = "Job hello-3-smoke-1 has failed: BackoffLimitExceeded; its log says more"
    word = {"at": at(40), "verdict": "Fail", "message": told}
    found = {"name": "smoke", "verdict": "Fail", "failures": 1, "measurements": [word]}
    metrics = [{"name": "smoke", "job": {"template": {}}}]
    return upgrade(
        strategy=strategy() | {"analysis": {"metrics": metrics}},
        analysis={"verdict": "Fail", "message": told, "metrics": [found]},
    )


def hostile() -> AgentUpgrade:
    """One of which others say what could move a cursor."""
    return upgrade(
        spec={"feedback": [{"from": "\x1b[31meve", "rating": 1, "comment": "\x1b]0;owned\x07\r!"}]},
        phase="Paused",
        conditions=[condition("Progressing", "False", "Crash", "said: \x1b[2J\x9b1A\u202egnp.exe")],
    )


def strategy(*, metrics: bool = False) -> dict[str, Any]:
    """The three steps, with an analysis."""
    asked = [
        {
            "name": "quality",
            "http": {"url": "http://tester/score", "pointer": "/score"},
            "minimum": 0.8,
        },
        {"name": "smoke", "job": {"template": {}}, "dryRun": True},
    ]
    return {
        "type": "Canary",
        "steps": [{"weight": weight, "pause": {"seconds": 30}} for weight in (5, 25, 50)],
        "maxSurge": "25%",
        "progressDeadlineSeconds": 600,
        "scaleDownDelaySeconds": 30,
        "abortScaleDownDelaySeconds": 30,
        "rollbackWindow": 3,
        "analysis": {"metrics": asked if metrics else []},
    }


def analysis(
    looks: Iterable[tuple[int, tuple[int, int, int]]],
    *,
    verdict: str,
    message: str,
    score: tuple[int, int, int] = (0, 0, 0),
    metrics: bool = False,
    **rest: Any,
) -> dict[str, Any]:
    """The state of a judgement after looks: each a weight and what the new version did."""
    evidence, seen = Evidence(), []
    total = {"canary": Side(), "stable": Side()}
    for number, (weight, counted) in enumerate(looks, start=1):
        both = {"canary": side(*counted), "stable": side(*GOOD)}
        evidence = observe(evidence, **both, error_margin=2, performance_impact=0.2)
        total = {name: added(total[name], each) for name, each in both.items()}
        seen.append({"at": at(5 * number), "weight": weight, **both})
    measured = [
        {"at": at(50 + 10 * n), "verdict": "Pass", "value": 0.9 - n / 100} for n in range(2)
    ]
    failed = {"at": at(70), "verdict": "Inconclusive", "message": "the answer is no JSON"}
    return {
        "verdict": verdict,
        "message": message,
        "lookedAt": seen[-1]["at"],
        **total,
        "evidence": evidence,
        "score": dict(zip(("feedback", "system", "total"), score, strict=True)),
        "metrics": [
            {"name": "quality", "verdict": "Pass", "measurements": [*measured, failed]},
            {"name": "smoke", "verdict": "Inconclusive"},
        ]
        if metrics
        else [],
        "looks": seen,
    } | rest


def side(requests: int, errors: int, microseconds: int) -> Side:
    """What one version did."""
    return Side(requests=requests, errors=errors, timed=requests, microseconds=microseconds)


def added(one: Side, other: Side) -> Side:
    """Both together."""
    names = ("requests", "errors", "timed", "microseconds")
    return Side(**{name: getattr(one, name) + getattr(other, name) for name in names})


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    """A condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(0),
    }


def entry(phase: str, reason: str, message: str, seconds: float) -> dict[str, Any]:
    """An entry of the history."""
    return {"phase": phase, "reason": reason, "message": message, "at": at(seconds)}


def control(verb: str, by: str, seconds: float) -> dict[str, Any]:
    """Something a person did."""
    return {"verb": verb, "by": by, "at": at(seconds)}


def pod(name: str, revision: str, *, ready: bool = True, **status: Any) -> dict[str, Any]:
    """A pod as it is on the wire."""
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": at(-300),
            "labels": {"agentherd.dev/revision": revision, "agentherd.dev/traffic": "on"},
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}],
        }
        | status,
    }


def replica_set(revision: str) -> dict[str, Any]:
    """A ReplicaSet as it is on the wire."""
    return {
        "metadata": {"name": f"hello-{revision}", "labels": {"agentherd.dev/revision": revision}}
    }
