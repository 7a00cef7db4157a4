"""Jobs that try a new version, and what is known of all that an attempt is measured by.

A tester is run once in each attempt, as soon as there is a pod of the new version to try, and its
end is its verdict. The Job is found again by its name, so one that was made by a process that died
is not made twice; and one of an upgrade of long ago under the same name is told by the uid. Its end
is written down in the status, so that it may go afterwards. A pod that is taken off its node has
found out nothing, so it is run again; whatever else ends a tester is its word.

A tester of which no pod has ever run has found out nothing either when its time is over: an image
cannot be pulled, a quota is used up. So that it runs is written down as soon as it is seen, which a
Job tells of pods that are ready: with a readiness probe that never succeeds it is as if it had not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Final

from agentherd.api import (
    Agent,
    AgentUpgrade,
    AgentUpgradeStatus,
    Analysis,
    Metric,
    MetricStatus,
    ModelDeployment,
    TesterJob,
    Verdict,
)
from agentherd.domain.children import Manifest, owned
from agentherd.domain.errors import InvalidTemplate
from agentherd.domain.judging.metrics import Measured, Question, due, due_at
from agentherd.domain.kinds import (
    GROUP,
    JOB,
    MANAGED_BY_LABEL,
    UPGRADE_ANNOTATION,
    WORKLOAD_WORDS,
    job_name,
    revision_service_name,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Ref, Stage, digest
from agentherd.domain.template import check_shape
from agentherd.domain.views import JobView

KEPT_SECONDS: Final = 86400
"""How long a Job that has ended can be looked at."""

RUNS: Final = "its Job has not ended yet"
"""What is noted of a tester as soon as a pod of it runs, and of none that never did, with the time
at which the Job began."""

_SERVICE: Final = "$(CANARY_SERVICE)"


def names(seen: AgentObservation, upgrade: str, status: AgentUpgradeStatus) -> Mapping[str, str]:
    """Who is compared with whom, by the words in which sources and testers are told so."""
    agent, new = seen.agent.metadata.name, status.to_revision or ""
    return {
        "NAMESPACE": seen.agent.metadata.namespace,
        WORKLOAD_WORDS[seen.agent.KIND]: agent,
        "UPGRADE": upgrade,
        "CANARY_REVISION": new,
        "STABLE_REVISION": status.from_revision or "",
        "CANARY_SERVICE": revision_service_name(agent, new),
    }


def metrics_of(status: AgentUpgradeStatus) -> tuple[Metric, ...]:
    """The metrics of an attempt, as they were settled when it began."""
    analysis = status.strategy.analysis if status.strategy is not None else None
    return analysis.metrics if analysis is not None else ()


def is_addressed(status: AgentUpgradeStatus) -> bool:
    """Whether somebody who measures needs an address at which only the new version answers."""
    return any(
        metric.job is not None or (metric.http is not None and _SERVICE in metric.http.url)
        for metric in metrics_of(status)
    )


def tries(subject: Agent | AgentUpgrade | ModelDeployment) -> bool:
    """Whether Jobs may be made for a workload or an upgrade, or have been."""
    if isinstance(subject, AgentUpgrade):
        return _has_job(subject.spec.analysis) or any(m.job for m in metrics_of(subject.status))
    policy = subject.spec.upgrade_policy
    return _has_job(policy.analysis if policy is not None else None)


def _has_job(analysis: Analysis | None) -> bool:
    return analysis is not None and any(metric.job is not None for metric in analysis.metrics)


# What is measured


def answers(seen: AgentObservation, upgrade: AgentUpgrade) -> Mapping[str, Measured]:
    """What all that an attempt is measured by have said, as far as it is known now."""
    status = upgrade.status
    found = dict(seen.measurements)
    for name, (metric, job) in _jobs(upgrade, status).items():
        if (said := _end(seen, upgrade, name, metric, job)) is not None:
            found[metric] = said
    return found


def asked(
    seen: AgentObservation, upgrade: AgentUpgrade, status: AgentUpgradeStatus, now: datetime
) -> tuple[Question, ...]:
    """What is due to be asked from the moment the new version has what its first step gives it.

    `status` is that after the present turn. What counts as measured is what the API server has,
    since a status that is decided may still be refused.
    """
    if not _serves(seen, status):
        return ()
    same = upgrade.status.started_at == status.started_at
    return due(
        _measured(upgrade.status) if same else (),
        metrics_of(status),
        names(seen, upgrade.metadata.name, status),
        attempt=status.attempt or 1,
        now=now,
    )


def asked_at(
    seen: AgentObservation, upgrade: AgentUpgrade, status: AgentUpgradeStatus, now: datetime
) -> datetime | None:
    """When something is due to be asked that is not asked now; None where there is nothing."""
    if not _serves(seen, status):
        return None
    return due_at(_measured(upgrade.status), _measured(status), metrics_of(status), now=now)


def _serves(seen: AgentObservation, status: AgentUpgradeStatus) -> bool:
    """Whether the new version has pods, and has had the weight of its first step if it has one.

    While the pods of a later step are on their way it serves with what it had before.
    """
    reached = status.weight_since is not None or status.step > 1
    return _has_pods(seen, status) and (reached or not status.steps)


def _has_pods(seen: AgentObservation, status: AgentUpgradeStatus) -> bool:
    return any(v.available for v in seen.sets() if v.revision == status.to_revision)


def _measured(status: AgentUpgradeStatus) -> tuple[MetricStatus, ...]:
    return status.analysis.metrics if status.analysis is not None else ()


def _has_run(status: AgentUpgradeStatus, metric: str, live: JobView) -> bool:
    """Whether a pod of this very Job was seen; one of the same name before it is another."""
    known = next((each for each in _measured(status) if each.name == metric), None)
    noted = known.measurements if known is not None else ()
    return any(each.message == RUNS and each.at == live.began_at for each in noted)


def _unstarted(live: JobView, job: TesterJob) -> str:
    """Why a tester has found out nothing; which of the causes it is, only its Events tell.

    The longest name of a Job leaves room for what to do.
    """
    return (
        f"Job {live.name} has had no running pod within {job.timeout_seconds} s (image? quota? "
        "node?): see kubectl describe job, put it right and delete the Job"
    )


def _end(
    seen: AgentObservation, upgrade: AgentUpgrade, name: str, metric: str, job: TesterJob
) -> Measured | None:
    status, live = upgrade.status, seen.jobs.get(name)
    if live is not None and live.upgrade == upgrade.metadata.uid:
        if live.verdict is None:
            # It is of the time at which the Job began, so that it is noted once.
            return Measured(at=live.began_at, message=RUNS) if live.runs and live.began_at else None
        if live.timed_out and not _has_run(status, metric, live):
            at = live.ended_at or status.started_at
            return Measured(at=at, message=_unstarted(live, job)) if at else None
        passed = live.verdict is Verdict.PASS
        message = "" if passed else f"Job {name} has failed: {live.message}; its log says more"
        at = live.ended_at or status.started_at
        return Measured(at=at, verdict=live.verdict, message=message) if at else None
    if (failure := seen.failures.get(Ref(JOB.name, name))) is not None and failure.at is not None:
        return Measured(at=failure.at, message=failure.message)
    if (fault := _fault(job)) and status.started_at is not None:
        return Measured(at=status.started_at, message=fault)
    return None


# The Jobs


def trials(
    seen: AgentObservation, upgrade: AgentUpgrade, status: AgentUpgradeStatus, *, moving: bool
) -> Iterator[Apply | Delete]:
    """The Jobs that are made for the upgrade that governs, and those that go.

    `status` is that after the present turn, and `moving` whether the new version may serve.
    """
    wanted = _jobs(upgrade, status) if moving else {}
    taken = {name for name in wanted if _is_of_another(seen, upgrade, name)}
    yield from useless(seen, wanted.keys() - taken, in_the_way=taken)
    if not seen.jobs_known or not _has_pods(seen, status):
        return
    ended = {each.name for each in _measured(status) if each.verdict is not Verdict.INCONCLUSIVE}
    for name, (metric, job) in wanted.items():
        if name in seen.jobs or metric in ended or _fault(job):
            continue
        manifest = _manifest(seen, upgrade, status, name, job)
        yield Apply(
            stage=Stage.SCALE, kind=JOB, manifest=manifest, digest=digest(manifest), claimed=True
        )


def _is_of_another(seen: AgentObservation, upgrade: AgentUpgrade, name: str) -> bool:
    """Whether a Job is of another upgrade: `a-b` of `x` is called as `b` of `x-a` is."""
    return name in seen.jobs and seen.jobs[name].upgrade != upgrade.metadata.uid


def useless(
    seen: AgentObservation, wanted: Collection[str] = (), *, in_the_way: Collection[str] = ()
) -> Iterator[Delete]:
    """Jobs that still try what nobody waits for, and those of upgrades that are forgotten."""
    known = {each.upgrade.metadata.uid for each in seen.upgrades.values()}
    for name, job in sorted(seen.jobs.items()):
        needless = name in in_the_way or (job.verdict is None and name not in wanted)
        if not job.deleting and seen.own(job) and (needless or job.upgrade not in known):
            yield Delete(kind=JOB, name=name, uid=job.uid)


def _jobs(upgrade: AgentUpgrade, status: AgentUpgradeStatus) -> Mapping[str, tuple[str, TesterJob]]:
    """The Jobs of an attempt by their names, each with the name of its metric."""
    return {
        job_name(upgrade.metadata.name, metric.name, status.attempt or 1): (metric.name, job)
        for metric in metrics_of(status)
        if (job := metric.job) is not None
    }


def _manifest(
    seen: AgentObservation,
    upgrade: AgentUpgrade,
    status: AgentUpgradeStatus,
    name: str,
    job: TesterJob,
) -> Manifest:
    written = job.template
    metadata = dict(written.get("metadata") or {})
    # With labels of ours the pod would be taken for one of the Agent, and be sent requests.
    metadata["labels"] = {
        label: value
        for label, value in (metadata.get("labels") or {}).items()
        if label.partition("/")[0] != GROUP and label != MANAGED_BY_LABEL
    }
    pod = {"restartPolicy": "Never", **written["spec"]}
    told = names(seen, upgrade.metadata.name, status)
    first, *others = pod["containers"]
    ours = [{"name": f"AGENTHERD_{word}", "value": value} for word, value in told.items()]
    pod["containers"] = [{**first, "env": [*ours, *(first.get("env") or ())]}, *others]
    spec: Manifest = {
        "activeDeadlineSeconds": job.timeout_seconds,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {"metadata": metadata, "spec": pod},
    }
    if pod["restartPolicy"] == "Never":
        disrupted = {"type": "DisruptionTarget", "status": "True"}
        rule = {"action": "Ignore", "onPodConditions": [disrupted]}
        spec["podFailurePolicy"] = {"rules": [rule]}
    body = owned(seen.agent, JOB, name)
    body["metadata"]["annotations"] = {UPGRADE_ANNOTATION: upgrade.metadata.uid}
    return body | {"spec": spec}


def _fault(job: TesterJob) -> str:
    """What is wrong with the shape of a tester's template; the API server judges the rest."""
    try:
        check_shape(job.template)
    except InvalidTemplate as error:
        what = str(error).removeprefix("spec.template.")
        return f"the template of the Job cannot be used: {what}"
    return ""
