"""Everything that follows from what was seen of an Agent.

    what is asked for ─▶ the upgrade's move ─▶ traffic ─▶ sizes ─▶ drain
            │                    └─▶ status of the upgrade
            └──▶ facts ─▶ verdict ─▶ status of the Agent; children: ReplicaSets, ConfigMaps, …

Read it from `decide` downwards: what is wanted, how far it is, what has to be written. A child
whose last write was refused is left alone until it is due for another try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agentherd.api import AgentStatus, Phase, UpgradePhase
from agentherd.domain.aside import hands_off, without_agent
from agentherd.domain.belongings import (
    adopted,
    agent_children,
    baseline_children,
    obsolete,
    reloaded_pods,
)
from agentherd.domain.dependencies import circle, waits_for
from agentherd.domain.judging.metrics import Question
from agentherd.domain.judging.testers import asked, asked_at, is_addressed, trials, useless
from agentherd.domain.kinds import AGENT_UPGRADE
from agentherd.domain.news import agent_news, upgrade_news
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.phase import Facts, Verdict, judge
from agentherd.domain.plan import (
    Apply,
    Emit,
    Intent,
    Merge,
    Plan,
    Ref,
    Stage,
    Write,
    WriteStatus,
)
from agentherd.domain.pods import measured, replaced, sized
from agentherd.domain.reasons import Reason
from agentherd.domain.records import records
from agentherd.domain.revision import Revision
from agentherd.domain.routing.traffic import (
    Split,
    is_taken_back,
    keeps_people,
    obstacle,
    timely,
    timely_again,
    traffic_intents,
    unreachable,
)
from agentherd.domain.situation import facts_of, failure_of, malformed
from agentherd.domain.status import next_status, write_status
from agentherd.domain.strays import strays
from agentherd.domain.upgrades.baseline import fresh_sizes
from agentherd.domain.upgrades.change import (
    Choice,
    choose,
    is_gated,
    revision_named,
    revision_or_lost,
)
from agentherd.domain.upgrades.phases import ENDED
from agentherd.domain.upgrades.rollout import (
    first_sizes,
    kept_until,
    upgrade_sizes,
)
from agentherd.domain.upgrades.run import (
    Run,
    fault_of,
    fresh_serving,
    is_asked_anew,
    mirrored,
    run,
    stable_by_itself,
)
from agentherd.domain.upgrades.standing_in import stand_in_sizes

SETTLE: Final = timedelta(seconds=2)
"""How long those who send to a Service may take to follow a change, unless the Agent says."""


def decide(seen: AgentObservation | Leftovers, now: datetime) -> Plan:
    """The plan for one Agent and all that belongs to it."""
    if isinstance(seen, Leftovers):
        due = (i for i in without_agent(seen, now) if _is_due(seen, i, None, now))
        again = (failure.retry_at for failure in seen.failures.values() if failure.retry_at > now)
        return Plan.of(due, wake_at=min(again, default=None))
    if seen.agent.metadata.deletion_timestamp is not None:
        return Plan()
    if seen.unmanaged or seen.unreadable:
        return Plan.of(hands_off(seen, now))
    choice = choose(seen)
    stable = seen.agent.status.stable_revision
    serving = revision_or_lost(seen, stable, choice.asked) if stable else choice.asked
    old = _old(seen, choice, serving)
    settle = _settle(seen)
    before = timely(seen, _split(seen, None, serving, choice.goal), settle=settle, now=now)
    under_way = run(
        seen,
        choice,
        old=old,
        obstacle=obstacle(seen, _hardest(seen, choice, before)),
        shifted=is_taken_back(seen, before),
        refusal=malformed(seen, choice.goal, now),
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
        serving = revision_or_lost(seen, under_way.serving, choice.asked)
        stable = under_way.serving
    split = _split(seen, under_way, serving, choice.goal)
    stand_ins = stand_in_sizes(seen, choice, under_way, serving) if stable is not None else {}
    if stand_ins:
        split = replace(split, selected=None)
    split = timely(seen, split, settle=settle, now=now)
    waiting_for = waits_for(seen.dependencies, ran=_ran(seen))
    wanted = 0 if waiting_for else seen.wanted
    sizes = _sizes(seen, choice, under_way, stable=stable, wanted=wanted, now=now)
    sizes = {**sizes, **{each: max(sizes.get(each, 0), n) for each, n in stand_ins.items()}}
    fresh = fresh_sizes(seen, under_way, sizes, stable=stable)
    contents = _contents(seen, sizes, choice, serving)
    shrunk = sized(seen, sizes, contents, fresh=fresh, settle=settle, now=now)
    facts = facts_of(
        seen,
        choice,
        under_way,
        stable=stable,
        lost=not serving.known,
        waiting_for=waiting_for,
        failure=failure_of(seen, choice, stable, now) or unreachable(seen, serving, now),
        now=now,
    )
    verdict = judge(facts)
    if waiting_for and (name := circle(agent.metadata.name, seen.dependencies)):
        message = f"{agent.metadata.name} and {name} depend on each other; remove one dependency"
        verdict = Verdict(Phase.ERROR, Reason.DEPENDENCY_CYCLE, message)
    # An upgrade that could not be made is made later, as long as its spec counts as new.
    made = Ref(AGENT_UPGRADE.name, choice.name or "")
    unmade = choice.make and made in seen.failures and seen.failures[made].retry_at > now
    asked = agent.status.target_revision or "" if unmade else choice.asked.hash
    upgrade = agent.status.upgrade if unmade else choice.name
    status = next_status(
        seen,
        facts,
        verdict,
        asked=asked,
        stable=stable_by_itself(
            stable,
            asked=asked,
            complete=facts.complete and not waiting_for,
            wanted=seen.wanted,
            upgraded=upgrade is not None or is_gated(agent.spec),
        ),
        upgrade=upgrade,
        undone=under_way is not None and under_way.status.phase is UpgradePhase.ROLLING_BACK,
    )
    kept = _kept(choice, under_way, serving, stable)
    intents: list[Intent] = [
        *traffic_intents(seen, split),
        *strays(seen, choice.goal),
        *records(seen, choice, under_way),
        *replaced(seen, under_way),
        *agent_children(
            seen,
            kept,
            goal=choice.goal,
            sizes=shrunk.sizes,
            alone=serving.known and _alone(seen, status.stable_revision),
        ),
        *baseline_children(seen, serving, shrunk.fresh),
        *shrunk.intents,
        *reloaded_pods(seen, status),
        *obsolete(seen, choice, status),
        *_trials(seen, under_way),
    ]
    intents += adopted(seen, {i.ref for i in intents if isinstance(i, Write)})
    told = [
        *agent_news(seen, status, verdict, now),
        *upgrade_news(seen, choice, under_way, split, now),
    ]
    if write := write_status(seen, status):
        told.insert(0, write)
    return Plan.of(
        [*(i for i in intents if _is_due(seen, i, under_way, now)), *told],
        wake_at=now
        if _leads_on(seen, status, under_way) or _goes_back(seen, under_way, intents, now)
        else _wake_at(
            seen,
            facts,
            under_way,
            (shrunk.wake_at, timely_again(seen, split, settle=settle, now=now)),
            now,
        ),
        measure=measured(seen, contents, under_way),
        ask=_asked(seen, under_way, now),
    )


def _is_due(
    seen: AgentObservation | Leftovers, intent: Intent, under_way: Run | None, now: datetime
) -> bool:
    if isinstance(intent, WriteStatus | Emit):
        return True
    failure = seen.failures.get(intent.ref)
    if failure is None or failure.retry_at <= now:
        return True
    return is_asked_anew(failure, intent.ref, seen.key.name, under_way)


# What is wanted and how far it is


def _old(seen: AgentObservation, choice: Choice, serving: Revision) -> Revision | None:
    """The content of the revision that the governing upgrade started from, or starts from now."""
    governing = seen.upgrades.get(choice.name or "")
    started = governing.upgrade.status.from_revision if governing else None
    if governing is None or started is None or choice.objections.get(choice.name or "", 0) is None:
        return serving if serving.known else None
    return revision_named(seen, started, choice.asked)


def _settle(seen: AgentObservation) -> timedelta:
    traffic = seen.agent.spec.traffic
    return timedelta(seconds=traffic.settle_seconds) if traffic else SETTLE


def _ran(seen: AgentObservation) -> bool:
    started = any(view.wanted for view in seen.sets())
    return started or seen.agent.status.stable_revision is not None


def _split(
    seen: AgentObservation, under_way: Run | None, serving: Revision, goal: Revision
) -> Split:
    """How requests are to be divided, by the upgrade as it stands or as it goes on."""
    sets = {view.revision: view for view in seen.sets()}
    stable = seen.agent.status.stable_revision
    if stable is None:
        return Split(stable=goal)
    ready = {revision: view.ready for revision, view in sets.items()}
    ready[serving.hash] = ready.get(serving.hash, 0) + fresh_serving(seen, serving.hash)
    others = any(v.replicas or v.wanted for v in sets.values() if v.revision != serving.hash)
    if under_way is None or not under_way.moving:
        kept = _kept_on(seen, under_way, serving, ready) if under_way else None
        return kept or Split(stable=serving, selected=serving.hash if others else None)
    new = under_way.new
    by_gateway = seen.agent.spec.traffic is not None
    by_count = under_way.rolls or (not by_gateway and under_way.status.weight > 0)
    addressed = is_addressed(under_way.status)
    answers = ready.get(new.hash, 0) > 0 or under_way.status.weight > 0
    return Split(
        stable=serving,
        canary=new if addressed or not under_way.rolls else None,
        routed=by_gateway and not under_way.rolls and answers,
        weight=under_way.status.weight,
        selected=None if by_count else serving.hash,
        preview=by_gateway or under_way.course.previews or addressed,
        stable_ready=ready.get(serving.hash, 0),
        canary_ready=ready.get(new.hash, 0),
        mirror=mirrored(under_way.status),
    )


def _kept_on(
    seen: AgentObservation, under_way: Run, serving: Revision, ready: Mapping[str, int]
) -> Split | None:
    """The split while only the new version can answer, though a person wants the old one back.

    One that fails loses its requests at once, whoever is left.
    """
    status, new = under_way.status, under_way.new
    record = status.rollback
    wanted_back = status.phase is UpgradePhase.ROLLING_BACK and serving.hash != new.hash
    if not wanted_back or record is None or record.trigger != Reason.REQUESTED:
        return None
    if ready.get(serving.hash) or not ready.get(new.hash) or fault_of(seen, new.hash):
        return None
    by_route, shared = keeps_people(seen, serving, new)
    if not by_route and not shared:
        return None
    return Split(
        stable=serving,
        canary=new if by_route else None,
        routed=by_route,
        weight=100 if by_route else 0,
        selected=None if shared else serving.hash,
        preview=by_route,
        canary_ready=ready[new.hash],
    )


def _hardest(seen: AgentObservation, choice: Choice, split: Split) -> Split:
    """The split that a route has least room for, to know of a lack of room before it is needed."""
    governing = seen.upgrades.get(choice.name or "")
    return replace(
        split,
        canary=choice.goal,
        weight=1,
        routed=True,
        stable_ready=1,
        canary_ready=1,
        mirror=mirrored(governing.upgrade.status) if governing else 0,
    )


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
    sizes = upgrade_sizes(
        stable=stable,
        wanted=wanted,
        status=under_way.status if under_way else None,
        course=under_way.course if under_way else None,
        by_gateway=seen.agent.spec.traffic is not None,
        sets=seen.sets(),
        now=now,
    )
    if not choice.make:
        return sizes
    # Pods that are still warm are what the upgrade that is being made begins with.
    warm = {view.revision: view.wanted for view in seen.sets()}.get(choice.goal.hash, 0)
    return {**sizes, choice.goal.hash: min(warm, wanted)}


def _kept(
    choice: Choice,
    under_way: Run | None,
    serving: Revision,
    stable: str | None,
) -> tuple[Revision, ...]:
    """The revisions whose children are kept as they should be; of the others nothing is made."""
    if stable is None:
        return (choice.goal,)
    kept = [serving]
    if under_way is not None:
        status = under_way.status
        if status.phase is UpgradePhase.ROLLING_BACK and status.to_revision == stable:
            kept += [under_way.old] if under_way.old else []
        elif under_way.moving:
            kept.append(under_way.new)
    return tuple(revision for revision in kept if revision.known)


def _alone(seen: AgentObservation, stable: str | None) -> bool:
    """Whether no pod of another revision runs any more that might need what all share."""
    sets = (*seen.sets(), *seen.baselines())
    others = (view for view in sets if view.revision != stable)
    return stable is not None and not any(v.replicas or v.wanted for v in others)


def _contents(
    seen: AgentObservation, sizes: Mapping[str, int], choice: Choice, serving: Revision
) -> Mapping[str, Revision]:
    """What is known of the revisions that have pods, for the time in which some of them move."""
    known = {choice.goal.hash: choice.goal, serving.hash: serving}
    moved = {view.revision for view in seen.sets() if view.wanted != sizes.get(view.revision)}
    moved |= {pod.revision for pod in seen.pods.values() if pod.draining_since is not None}
    moved |= {view.revision for view in seen.baselines()}
    for revision in moved - known.keys():
        if (found := revision_named(seen, revision, choice.asked)) is not None:
            known[revision] = found
    return known


def _trials(seen: AgentObservation, under_way: Run | None) -> Iterable[Intent]:
    """Jobs that try the new version of the upgrade that governs; without one none is needed."""
    if under_way is None:
        return useless(seen)
    upgrade = under_way.governing.upgrade
    return trials(seen, upgrade, under_way.status, moving=under_way.moving)


def _asked(seen: AgentObservation, under_way: Run | None, now: datetime) -> Iterable[Question]:
    """What other sources are asked of a new version while it may serve."""
    if under_way is None or not under_way.moving:
        return ()
    return asked(seen, under_way.governing.upgrade, under_way.status, now)


def _leads_on(seen: AgentObservation, after: AgentStatus, under_way: Run | None) -> bool:
    """Whether something follows from what is written now: nobody wakes us for our own writes.

    Another stable revision has other children, and an upgrade may begin once it is its turn.
    """
    before = seen.agent.status
    if before.stable_revision is None and not seen.upgrades:
        return False  # a first start; all there is to do for it was done before
    was = (before.stable_revision, before.target_revision, before.upgrade)
    if was != (after.stable_revision, after.target_revision, after.upgrade):
        return True
    return (
        under_way is not None
        and under_way.status.phase in ENDED
        and under_way.governing.upgrade.status.phase not in ENDED
    )


def _goes_back(
    seen: AgentObservation, under_way: Run | None, intents: Sequence[Intent], now: datetime
) -> bool:
    """Whether requests are taken back by what is written now, so that the way back may end."""
    if under_way is None or under_way.status.phase is not UpgradePhase.ROLLING_BACK:
        return False
    moves = (i for i in intents if isinstance(i, Apply | Merge) and i.stage is Stage.TRAFFIC)
    return any(_is_due(seen, move, under_way, now) for move in moves)


def _wake_at(
    seen: AgentObservation,
    facts: Facts,
    under_way: Run | None,
    others: Iterable[datetime | None],
    now: datetime,
) -> datetime | None:
    times = [failure.retry_at for failure in seen.failures.values()]
    if facts.deadline_at is not None:
        times.append(facts.deadline_at)
    found = [time for time in times if time > now]
    if under_way is not None and under_way.moving:
        upgrade = under_way.governing.upgrade
        others = (*others, asked_at(seen, upgrade, under_way.status, now))
    if under_way is not None:
        kept = kept_until(under_way.status, under_way.course)
        if kept is not None and kept > now:
            found.append(kept)
        if under_way.move.wake_at is not None:
            found.append(max(now, under_way.move.wake_at))
    found += [max(now, time) for time in others if time is not None]
    return min(found, default=None)
