"""Everything that follows from what was seen of an Agent.

    what is asked for ─▶ the upgrade's move ─▶ traffic ─▶ sizes ─▶ drain
            │                    └─▶ status of the upgrade
            └──▶ facts ─▶ verdict ─▶ status of the Agent; children: ReplicaSets, ConfigMaps, …

Read it from `decide` downwards: what is wanted, how far it is, what has to be written. A child
whose last write was refused is left alone until it is due for another try.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import AgentStatus, AgentUpgradeStatus, Phase, UpgradePhase
from agentherd.domain import children
from agentherd.domain.belongings import agent_children, obsolete, reloaded_pods
from agentherd.domain.change import (
    Choice,
    Objection,
    choose,
    is_running,
    promoted,
    revision_named,
)
from agentherd.domain.conditions import not_understood, unmanaged
from agentherd.domain.dependencies import circle, waits_for
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, REPLICA_SET
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.phase import Facts, Verdict, judge
from agentherd.domain.plan import (
    Create,
    Delete,
    Emit,
    Failure,
    Intent,
    Merge,
    Plan,
    Ref,
    Stage,
    WriteStatus,
)
from agentherd.domain.pods import measured, sized
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.rollout import first_sizes, is_complete, kept_until, upgrade_sizes
from agentherd.domain.run import Run, fault_of, is_made_of, run, weight_seen
from agentherd.domain.status import next_status, write_status
from agentherd.domain.template import check
from agentherd.domain.traffic import Split, canaries_in, obstacle, restored, traffic_intents
from agentherd.domain.upgrade_status import (
    identity_of,
    running_status,
    superseded_status,
    waiting_status,
    write_upgrade_status,
)

SETTLE: Final = timedelta(seconds=2)
"""How long those who send to a Service may take to follow a change, unless the Agent says."""


def decide(seen: AgentObservation | Leftovers, now: datetime) -> Plan:
    """The plan for one Agent and all that belongs to it."""
    if isinstance(seen, Leftovers):
        return Plan.of(_without_agent(seen, now))
    if seen.agent.metadata.deletion_timestamp is not None:
        return Plan()
    if seen.unmanaged or seen.unreadable:
        return Plan.of(_hands_off(seen, now))
    choice = choose(seen)
    status = seen.agent.status
    serving = revision_named(seen, status.stable_revision or "", choice.asked) or choice.asked
    old = _old(seen, choice, serving)
    settle = _settle(seen)
    before = _split(seen, None, serving, choice.goal)
    under_way = run(
        seen,
        choice,
        old=old,
        obstacle=obstacle(seen, _hardest(before, choice.goal)),
        shifted=not any(traffic_intents(seen, before)),
        refusal=_malformed(seen, choice.goal, now),
        settle=settle,
        now=now,
    )
    return _planned(seen, choice, under_way, serving=serving, settle=settle, now=now)


def _planned(
    seen: AgentObservation,
    choice: Choice,
    under_way: Run | None,
    *,
    serving: Revision,
    settle: timedelta,
    now: datetime,
) -> Plan:
    agent = seen.agent
    stable = agent.status.stable_revision
    if under_way is not None and stable is not None and under_way.serving != stable:
        serving = revision_named(seen, under_way.serving, choice.asked) or serving
        stable = under_way.serving
    split = _split(seen, under_way, serving, choice.goal)
    waiting_for = waits_for(seen.dependencies, ran=_ran(seen))
    wanted = 0 if waiting_for else seen.wanted
    sizes = _sizes(seen, choice, under_way, stable=stable, wanted=wanted, now=now)
    contents = _contents(seen, sizes, choice, serving)
    shrunk = sized(seen, sizes, contents, settle=settle, now=now)
    facts = _facts(
        seen,
        choice,
        under_way,
        stable=stable,
        waiting_for=waiting_for,
        failure=_failure(seen, choice, stable, now),
        now=now,
    )
    verdict = judge(facts)
    if waiting_for and (name := circle(agent.metadata.name, seen.dependencies)):
        message = f"{agent.metadata.name} and {name} depend on each other; remove one dependency"
        verdict = Verdict(Phase.ERROR, Reason.DEPENDENCY_CYCLE, message)
    # An upgrade that could not be made is made later, as long as its spec counts as new.
    made = Ref(AGENT_UPGRADE.name, choice.name or "")
    unmade = choice.make and made in seen.failures and seen.failures[made].retry_at > now
    status = next_status(
        seen,
        facts,
        verdict,
        asked=agent.status.target_revision or "" if unmade else choice.asked.hash,
        stable=stable,
        upgrade=agent.status.upgrade if unmade else choice.name,
        undone=under_way is not None and under_way.status.phase is UpgradePhase.ROLLING_BACK,
    )
    kept = _kept(choice, under_way, serving, stable)
    intents: list[Intent] = [
        *traffic_intents(seen, split),
        *_records(seen, choice, under_way),
        *agent_children(
            seen,
            kept,
            goal=choice.goal,
            sizes=shrunk.sizes,
            alone=_alone(seen, status.stable_revision),
        ),
        *shrunk.intents,
        *reloaded_pods(seen, status),
        *obsolete(seen, choice, status),
    ]
    told = [*_news(seen, status, verdict, now), *_told(seen, choice, under_way, split, now)]
    if write := write_status(seen, status):
        told.insert(0, write)
    return Plan.of(
        [*(i for i in intents if _is_due(seen, i, now)), *told],
        wake_at=_wake_at(seen, facts, under_way, shrunk.wake_at, now),
        measure=measured(seen, _sides(under_way), contents),
    )


def _is_due(seen: AgentObservation, intent: Intent, now: datetime) -> bool:
    if isinstance(intent, WriteStatus | Emit):
        return True
    failure = seen.failures.get(intent.ref)
    return failure is None or failure.retry_at <= now


# What is wanted and how far it is


def _old(seen: AgentObservation, choice: Choice, serving: Revision) -> Revision | None:
    """The content of the revision that the governing upgrade started from, or starts from now."""
    governing = seen.upgrades.get(choice.name or "")
    started = governing.upgrade.status.from_revision if governing else None
    if governing is None or started is None or choice.objections.get(choice.name or "", 0) is None:
        return serving
    return revision_named(seen, started, choice.asked)


def _settle(seen: AgentObservation) -> timedelta:
    traffic = seen.agent.spec.traffic
    return timedelta(seconds=traffic.settle_seconds) if traffic else SETTLE


def _ran(seen: AgentObservation) -> bool:
    started = any(view.wanted for view in seen.sets())
    return started or seen.agent.status.stable_revision is not None


def _malformed(seen: AgentObservation, revision: Revision, now: datetime) -> Failure | None:
    """Why no pods can be made of a revision, found without asking the API server."""
    try:
        check(revision.template)
        children.replica_set(seen.agent, revision)
    except (InvalidTemplate, TemplateConflict) as error:
        return Failure(
            reason=error.reason, message=str(error), generation=seen.generation, retry_at=now
        )
    return None


def _failure(
    seen: AgentObservation, choice: Choice, stable: str | None, now: datetime
) -> Failure | None:
    """The failure to tell of the Agent: that of its pods if there is one, else any.

    What is refused of a new version is its upgrade's to tell.
    """
    judged = choice.goal if stable is None else None
    if judged is not None and (malformed := _malformed(seen, judged, now)):
        return malformed
    name = seen.agent.metadata.name
    others = {choice.goal.hash, choice.asked.hash} - {stable} if stable else set()
    ordered = sorted(seen.failures.items(), key=lambda item: (item[0][0] != REPLICA_SET.name, item))
    return next(
        (f for ref, f in ordered if not any(is_made_of(ref, name, each) for each in others)), None
    )


def _split(
    seen: AgentObservation, under_way: Run | None, serving: Revision, goal: Revision
) -> Split:
    """How requests are to be divided, by the upgrade as it stands or as it goes on."""
    sets = {view.revision: view for view in seen.sets()}
    stable = seen.agent.status.stable_revision
    if stable is None:
        return Split(stable=goal)
    ready = {revision: view.ready for revision, view in sets.items()}
    others = any(v.replicas or v.wanted for v in sets.values() if v.revision != serving.hash)
    if under_way is None or not under_way.moving:
        return Split(stable=serving, selected=serving.hash if others else None)
    new = under_way.new
    by_gateway = seen.agent.spec.traffic is not None
    by_count = under_way.rolls or (not by_gateway and under_way.status.weight > 0)
    return Split(
        stable=serving,
        canary=None if under_way.rolls else new,
        routed=by_gateway and (ready.get(new.hash, 0) > 0 or under_way.status.weight > 0),
        weight=under_way.status.weight,
        selected=None if by_count else serving.hash,
        preview=by_gateway or under_way.course.previews,
        stable_ready=ready.get(serving.hash, 0),
        canary_ready=ready.get(new.hash, 0),
    )


def _hardest(split: Split, goal: Revision) -> Split:
    """The split that a route has least room for, to know of a lack of room before it is needed."""
    return replace(split, canary=goal, weight=1, routed=True, stable_ready=1, canary_ready=1)


def _sizes(
    seen: AgentObservation,
    choice: Choice,
    under_way: Run | None,
    *,
    stable: str | None,
    wanted: int,
    now: datetime,
) -> Mapping[str, int]:
    if stable is None:
        return first_sizes(target=choice.goal.hash, wanted=wanted, sets=seen.sets())
    return upgrade_sizes(
        stable=stable,
        wanted=wanted,
        status=under_way.status if under_way else None,
        course=under_way.course if under_way else None,
        by_gateway=seen.agent.spec.traffic is not None,
        sets=seen.sets(),
        now=now,
    )


def _kept(
    choice: Choice,
    under_way: Run | None,
    serving: Revision,
    stable: str | None,
) -> tuple[Revision, ...]:
    """The revisions whose children are kept as they should be; of the others nothing is made."""
    if stable is None:
        return (choice.goal,)
    if under_way is None:
        return (serving,)
    status = under_way.status
    if status.phase is UpgradePhase.ROLLING_BACK and status.to_revision == stable:
        return (serving, under_way.old) if under_way.old else (serving,)
    if under_way.moving:
        return (serving, under_way.new)
    return (serving,)


def _alone(seen: AgentObservation, stable: str | None) -> bool:
    """Whether no pod of another revision runs any more that might need what all share."""
    others = (view for view in seen.sets() if view.revision != stable)
    return stable is not None and not any(v.replicas or v.wanted for v in others)


def _facts(
    seen: AgentObservation,
    choice: Choice,
    under_way: Run | None,
    *,
    stable: str | None,
    waiting_for: tuple[str, ...],
    failure: Failure | None,
    now: datetime,
) -> Facts:
    """What the phase depends on: the revision that serves, or the first one that is to."""
    spec, status = seen.agent.spec, seen.agent.status
    judged = stable or choice.goal.hash
    sets = {view.revision: view for view in seen.sets()}
    view = sets.get(judged)
    return Facts(
        mode=spec.operating_mode,
        mode_reason=spec.operating_mode_reason,
        wanted=seen.wanted,
        pods=sum(not pod.finished for pod in seen.pods.values()),
        serving=sum(each.available for each in sets.values()),
        available=view.available if view else 0,
        complete=is_complete(view, seen.wanted),
        settled=status.stable_revision == judged,
        observed=status.observed_generation == seen.generation,
        waiting_for=waiting_for,
        fault=fault_of(seen, judged),
        failure=failure,
        error=_last_error(status),
        upgrade=_account(seen, choice, under_way, stable),
        phase=status.phase,
        since=_progress_since(status, target=judged, now=now),
        deadline=timedelta(seconds=spec.progress_deadline_seconds),
        now=now,
    )


def _account(
    seen: AgentObservation, choice: Choice, under_way: Run | None, stable: str | None
) -> Fault | None:
    """What the Agent has to say of its upgrade: that it runs, or why its spec is not followed."""
    if stable is None or not seen.wanted:
        return None
    if choice.make:
        return Fault(Reason.ROLLING_OUT, f"upgrade {choice.name} is made")
    if under_way is not None and under_way.status.phase not in _OVER:
        what = f"upgrade {choice.name} {under_way.status.phase}: {under_way.move.message}"
        return Fault(Reason.ROLLING_OUT, what)
    if choice.asked.hash == stable:
        return None
    if under_way is not None and (record := under_way.status.rollback) is not None:
        return Fault(
            Reason.ROLLED_BACK,
            f"upgrade {choice.name} was rolled back ({record.trigger}: {record.reason}); revision "
            f"{stable} serves. Change the spec, or raise spec.attempt of the upgrade",
        )
    governing = seen.upgrades.get(choice.name or "")
    if governing is not None:
        return Fault(Reason.ROLLING_OUT, f"upgrade {choice.name} has not begun")
    return Fault(
        Reason.UPGRADE_DELETED,
        f"the upgrade to revision {choice.asked.hash} was deleted; revision {stable} serves. "
        "Change the spec, or create an AgentUpgrade without spec.to",
    )


_OVER: Final = frozenset({UpgradePhase.SUCCEEDED, UpgradePhase.ROLLED_BACK})


def _progress_since(status: AgentStatus, *, target: str, now: datetime) -> datetime | None:
    """When the attempt that is under way began: with its revision, after any waiting."""
    waited = any(c.reason == Reason.WAITING_FOR_DEPENDENCIES for c in status.conditions)
    if waited or (status.stable_revision is None and status.target_revision not in {None, target}):
        return now
    return status.progress_since or status.phase_since


def _last_error(status: AgentStatus) -> Fault | None:
    error = status.last_error
    if error is None or error.reason not in _REASONS:
        return None
    return Fault(Reason(error.reason), error.message)


_REASONS = frozenset(Reason)


def _sides(under_way: Run | None) -> tuple[str, ...]:
    """The revisions whose pods are measured: both sides of an upgrade, while it runs."""
    if under_way is None or not under_way.moving:
        return ()
    return (under_way.new.hash, under_way.serving)


def _contents(
    seen: AgentObservation, sizes: Mapping[str, int], choice: Choice, serving: Revision
) -> Mapping[str, Revision]:
    """What is known of the revisions that have pods, for the time in which some of them move."""
    known = {choice.goal.hash: choice.goal, serving.hash: serving}
    moved = {view.revision for view in seen.sets() if view.wanted != sizes.get(view.revision)}
    moved |= {pod.revision for pod in seen.pods.values() if pod.draining_since is not None}
    for revision in moved - known.keys():
        if (found := revision_named(seen, revision, choice.asked)) is not None:
            known[revision] = found
    return known


def _wake_at(
    seen: AgentObservation,
    facts: Facts,
    under_way: Run | None,
    drained_at: datetime | None,
    now: datetime,
) -> datetime | None:
    times = [failure.retry_at for failure in seen.failures.values()]
    if facts.deadline_at is not None:
        times.append(facts.deadline_at)
    found = [time for time in times if time > now]
    if under_way is not None:
        kept = kept_until(under_way.status, under_way.course)
        if kept is not None and kept > now:
            found.append(kept)
        if under_way.move.wake_at is not None:
            found.append(max(now, under_way.move.wake_at))
    if drained_at is not None:
        found.append(max(now, drained_at))
    return min(found, default=None)


# What is recorded


def _records(seen: AgentObservation, choice: Choice, under_way: Run | None) -> Iterator[Intent]:
    """Upgrades that are made or forgotten, and a spec into which a success is written."""
    agent = seen.agent
    if choice.make and choice.name is not None:
        yield Create(
            kind=AGENT_UPGRADE, manifest=children.upgrade(agent, choice.name, choice.asked)
        )
    stable = agent.status.stable_revision
    takes_over = under_way is not None and under_way.serving == under_way.new.hash != stable
    if takes_over and choice.asked.hash != choice.goal.hash:
        yield Merge(
            kind=AGENT,
            name=agent.metadata.name,
            uid=agent.metadata.uid,
            version=seen.version,
            patch={"spec": promoted(agent.spec, choice.goal)},
            stage=Stage.RECORD,
        )
    ended = sorted(
        (
            each.upgrade
            for name, each in seen.upgrades.items()
            if each.upgrade.metadata.controller == agent.metadata.uid
            and each.upgrade.status.finished_at is not None
            and name != choice.name
        ),
        key=lambda upgrade: (upgrade.status.finished_at, upgrade.metadata.name),
    )
    for upgrade in ended[: max(0, len(ended) - agent.spec.revision_history_limit)]:
        target = identity_of(upgrade)
        yield Delete(kind=AGENT_UPGRADE, name=target.name, uid=target.uid, stage=Stage.SCALE)


# What people are told


def _told(
    seen: AgentObservation, choice: Choice, under_way: Run | None, split: Split, now: datetime
) -> Iterator[Intent]:
    """The statuses of all upgrades, and an Event for a beginning and an end."""
    for name, each in seen.upgrades.items():
        if under_way is not None and name == choice.name:
            continue
        if name in choice.superseded:
            message = f"a newer change has taken its place: {choice.name or 'the former spec'}"
            after = superseded_status(each, message, now=now)
        elif name in choice.objections:
            after = waiting_status(each, choice.objections[name], now=now)
        else:
            continue
        if write := write_upgrade_status(each.upgrade, after):
            yield write
    if under_way is None:
        return
    upgrade = under_way.governing.upgrade
    status = under_way.status
    seen_weight = None
    if under_way.moving:
        seen_weight = weight_seen(seen, new=under_way.new.hash, old=under_way.serving)
    preview = None
    if under_way.moving and split.preview:
        preview = _preview(seen, under_way)
    status = status.model_copy(update={"weight_seen": seen_weight, "preview": preview})
    hindrance = obstacle(seen, split)
    after = running_status(
        under_way.governing,
        under_way.move,
        status,
        traffic=hindrance or _splitter(seen, status),
        applied=hindrance is None,
        now=now,
    )
    if write := write_upgrade_status(upgrade, after):
        yield write
    before = upgrade.status.phase
    if status.phase != before and status.phase in _WORTH_AN_EVENT:
        yield Emit(
            target=identity_of(upgrade),
            reason=under_way.move.reason,
            message=under_way.move.message,
            warning=status.phase is UpgradePhase.ROLLING_BACK,
            at=now,
        )


_WORTH_AN_EVENT: Final = frozenset(
    {UpgradePhase.SUCCEEDED, UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK}
)


def _preview(seen: AgentObservation, under_way: Run) -> str | None:
    made = children.revision_service(seen.agent, under_way.new)
    name: str | None = made["metadata"]["name"] if made else None
    return name


def _splitter(seen: AgentObservation, status: AgentUpgradeStatus) -> Fault:
    if status.phase is UpgradePhase.SUCCEEDED:
        return Fault(Reason.WEIGHT_APPLIED, "all requests go to the new version")
    if status.weight == 0:
        return Fault(Reason.WEIGHT_APPLIED, "all requests go to the old version")
    if seen.agent.spec.traffic is None:
        return Fault(Reason.SHARED_BY_REPLICAS, "requests are shared by the number of pods")
    return Fault(Reason.WEIGHT_APPLIED, f"the route gives the new version {status.weight} %")


def _news(
    seen: AgentObservation, status: AgentStatus, verdict: Verdict, now: datetime
) -> Iterator[Intent]:
    """Few Events: errors and their end, a new revision, a mode that somebody set."""
    before = seen.agent.status
    if status.phase == before.phase and status.stable_revision == before.stable_revision:
        return
    tell = Emit(
        target=seen.identity,
        reason=verdict.reason,
        message=verdict.message,
        warning=status.phase is Phase.ERROR,
        at=now,
    )
    if status.phase is Phase.ERROR:
        if before.phase is not Phase.ERROR:
            yield tell
        return
    if before.stable_revision is not None and status.stable_revision != before.stable_revision:
        message = f"revision {status.stable_revision} replaces {before.stable_revision}"
        yield replace(tell, reason=Reason.REVISION_PROMOTED, message=message)
    elif before.phase is Phase.ERROR or (verdict.done and before.phase not in _FIRST_PHASES):
        yield tell


_FIRST_PHASES = frozenset({None, Phase.DEPLOYING})


def _hands_off(seen: AgentObservation, now: datetime) -> Iterator[WriteStatus]:
    """Say why nothing is done, and do nothing."""
    before, generation = seen.agent.status, seen.generation
    if seen.unreadable:
        told = not_understood(before.conditions, seen.unreadable, generation=generation, now=now)
    else:
        told = unmanaged(before.conditions, generation=generation, now=now)
    after = before.model_copy(update={"conditions": told, "observed_generation": generation})
    write = write_status(seen, after)
    if write is not None:
        yield write


def _without_agent(seen: Leftovers, now: datetime) -> Iterator[Intent]:
    """Tell the upgrades of an Agent that does not exist, and free the routes it has left."""
    for (kind, _), view in seen.routes.items():
        if seen.key.name in canaries_in(view):
            yield restored(kind, view, seen.key.name)
    for each in seen.upgrades.values():
        if is_running(each.upgrade):
            gone = f"Agent {seen.key.name} was deleted"
            after = superseded_status(each, gone, now=now)
        elif each.upgrade.status.phase in {None, UpgradePhase.PENDING}:
            missing = f"there is no Agent {seen.key.name} in this namespace"
            after = waiting_status(each, Objection(Reason.TARGET_NOT_FOUND, missing), now=now)
        else:
            continue
        if write := write_upgrade_status(each.upgrade, after):
            yield write
