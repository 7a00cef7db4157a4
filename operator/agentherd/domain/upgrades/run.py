"""The upgrade that governs an Agent: from what is seen to what it does next.

The facts that `agentherd.domain.upgrades.rules` goes by are gathered here from the Agent's
children, and its move becomes a status. Which revision is stable is the Agent's to say, and is
decided here only: in an upgrade by `_serving`, when the new version takes over or one that has
taken over is taken back; and without one by `stable_by_itself`, for the first version and where
nobody is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agentherd.api import (
    AgentUpgradeStatus,
    EffectiveStrategy,
    StrategyType,
    UpgradePhase,
)
from agentherd.domain.faults import Fault, check_fault
from agentherd.domain.judging.verdict import Judgement
from agentherd.domain.kinds import revision_name
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.readings import Reading, share
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.upgrades.approval import Standing, approval_ahead
from agentherd.domain.upgrades.attempt import (
    is_outdated,
    lasting_pods,
    out_of_memory,
    past_crash,
    stale_pods,
)
from agentherd.domain.upgrades.change import Choice, is_direct, is_running, strategy_of
from agentherd.domain.upgrades.judgement import carried_on, judgement_of
from agentherd.domain.upgrades.moves import Facts, Move
from agentherd.domain.upgrades.phases import MOVING
from agentherd.domain.upgrades.rollout import is_complete
from agentherd.domain.upgrades.rules import advance, begin
from agentherd.domain.upgrades.steering import steered
from agentherd.domain.upgrades.strategy import Course, course
from agentherd.domain.upgrades.way_back import PATIENCE
from agentherd.domain.views import ReplicaSetView

_ABOUT_THE_OBJECT = frozenset(
    {Reason.INVALID_TEMPLATE, Reason.INVALID_CHILD, Reason.TEMPLATE_CONFLICT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An upgrade at work: its course, its next move and the status after it.

    `serving` is the revision that is stable from now on, `new` and `old` those that the upgrade
    leads to and from. `moving` is true while requests may be divided between them.
    """

    governing: SeenUpgrade
    course: Course
    move: Move
    status: AgentUpgradeStatus
    serving: str
    new: Revision
    old: Revision | None

    @property
    def moving(self) -> bool:
        """Whether the new version may be sent requests."""
        return self.status.phase in MOVING and self.serving != self.status.to_revision

    @property
    def rolls(self) -> bool:
        """Whether pods are replaced one by one behind the same Service."""
        by_pod = self.course.type is StrategyType.ROLLING_UPDATE
        return self.moving and by_pod and not self.status.steps


def run(
    seen: AgentObservation,
    choice: Choice,
    *,
    old: Revision | None,
    obstacle: Fault | None,
    shifted: bool,
    refusal: Failure | None,
    settle: timedelta,
    now: datetime,
) -> Run | None:
    """What the governing upgrade does next; None while none has begun or may begin.

    `old` is the content of the revision it started from, `shifted` whether nothing is sent to the
    new version any more, and `refusal` why the new version's manifest cannot be made.
    """
    stable = seen.agent.status.stable_revision
    governing = seen.upgrades.get(choice.name or "")
    if choice.make or governing is None or stable is None:
        return None
    upgrade = governing.upgrade
    if upgrade.status.phase is UpgradePhase.SUPERSEDED:
        return None
    begins = not is_running(upgrade) and choice.name in choice.objections
    if begins and (choice.objections[choice.name or ""] is not None or not seen.wanted):
        return None
    status = upgrade.status
    strategy = None if begins else status.strategy
    if strategy is None:
        strategy = strategy_of(seen, upgrade)
    if begins and is_direct(seen, strategy, choice.goal):
        # What has proved itself is judged no more than it takes steps.
        strategy = strategy.model_copy(update={"analysis": None})
    way = _course(seen, governing, steered(strategy, seen.steering), choice.goal)
    analysis, judgement = judgement_of(seen, governing, way, now=now)
    facts = _facts(
        seen,
        governing,
        way,
        approval=approval_ahead(governing),
        judgement=judgement,
        goal=choice.goal,
        obstacle=obstacle,
        shifted=shifted,
        returnable=old is not None,
        refusal=refusal or _refusal(seen, choice.goal, status),
        settle=settle,
        now=now,
    )
    serving = stable
    if begins:
        serving_revision = old.version if old else None
        move = begin(
            facts,
            strategy,
            from_revision=stable,
            to_revision=choice.goal.hash,
            versions=(serving_revision, choice.goal.version),
        )
    else:
        serving = _serving(facts, seen, stable, old)
        move = advance(facts)
    if serving != stable:
        # Nobody tells us what we have just written ourselves, and it is what the next move is for.
        move = replace(move, wake_at=now)
    after = status.model_copy(update={"analysis": analysis, "phase": move.phase, **move.changes})
    judged = carried_on(seen, governing, way, after, now=now)
    return Run(
        governing=governing,
        course=way,
        move=move,
        status=after.model_copy(update={"analysis": judged}),
        serving=serving,
        new=choice.goal,
        old=old,
    )


def stable_by_itself(
    stable: str | None, *, asked: str, complete: bool, wanted: int, upgraded: bool
) -> str | None:
    """The stable revision from now on where no upgrade has a say in it.

    The first one is stable once it has proved itself, with all its pods. Later ones take its place
    only while no pods are wanted: nobody is served, so nothing has to be gone about with care.
    Where changes need approval they are `upgraded` all the same.
    """
    if stable is None:
        return asked if complete and wanted else None
    return stable if wanted or upgraded else asked


def _serving(facts: Facts, seen: AgentObservation, stable: str, old: Revision | None) -> str:
    """The stable revision from now on: another one only once all its pods are there."""
    status, sets = facts.status, {view.revision: view for view in seen.sets()}
    goes_back = facts.spec.rollback is not None and facts.spec.rollback.requested
    waits = goes_back or seen.steering.waits
    if status.phase is UpgradePhase.PROMOTING and status.to_revision and not waits:
        ready = is_complete(sets.get(status.to_revision), facts.wanted) and facts.wanted
        sound = facts.fault is None and facts.refusal is None and not facts.spec.paused
        proved = facts.judgement.trigger is None and not facts.awaited and not facts.doubted
        reached = _is_reached(seen, status.to_revision)
        if ready and reached and sound and proved and facts.obstacle is None:
            return status.to_revision
    if status.phase is UpgradePhase.ROLLING_BACK and stable == status.to_revision:
        before = status.from_revision
        serves = _can_serve(sets.get(before or ""), facts)
        if before and old is not None and serves and _is_reached(seen, before):
            return before
    return stable


def _is_reached(seen: AgentObservation, revision: str) -> bool:
    """Whether the pods of a revision that are wanted are in traffic, if they were on their way out.

    One that is wanted again is brought back by a write of its own, which comes after the status.
    """
    ready = [pod for pod in seen.pods_of(revision) if pod.ready and not pod.deleting]
    return sum(pod.in_traffic for pod in ready) >= min(len(ready), seen.wanted)


def _can_serve(view: ReplicaSetView | None, facts: Facts) -> bool:
    """Whether the version that is gone back to takes over, with all its pods or those it has."""
    if is_complete(view, facts.wanted):
        return True
    waited = facts.status.rollback is not None and facts.now >= facts.status.rollback.at + PATIENCE
    return waited and view is not None and view.available > 0


def _course(
    seen: AgentObservation, governing: SeenUpgrade, strategy: EffectiveStrategy, goal: Revision
) -> Course:
    """The course of a strategy, without steps where they would protect nobody."""
    begun = is_running(governing.upgrade) and governing.upgrade.status.started_at is not None
    direct = not governing.upgrade.status.steps if begun else is_direct(seen, strategy, goal)
    return course(strategy, direct=direct)


def _facts(
    seen: AgentObservation,
    governing: SeenUpgrade,
    way: Course,
    *,
    approval: Standing | None,
    judgement: Judgement,
    goal: Revision,
    obstacle: Fault | None,
    shifted: bool,
    returnable: bool,
    refusal: Failure | None,
    settle: timedelta,
    now: datetime,
) -> Facts:
    status = governing.upgrade.status
    sets = {view.revision: view for view in seen.sets()}
    stable = seen.agent.status.stable_revision
    fault = _fault_of_new(seen, governing, goal) or _unhealthy(seen, goal)
    unhealthy = fault is not None and fault.reason is Reason.PROBES_FAIL
    killed = out_of_memory(seen, goal.hash, governing.upgrade, status)
    new = sets.get(goal.hash)
    return Facts(
        spec=governing.upgrade.spec,
        status=status,
        course=way,
        wanted=seen.wanted,
        canary=_available(new),
        asked=new.wanted if new is not None else 0,
        stable=_available(sets.get(stable or "")) + fresh_serving(seen, stable or ""),
        by_gateway=seen.agent.spec.traffic is not None,
        settle=settle,
        fault=killed if unhealthy and killed else fault,
        refusal=refusal,
        promoted=stable == goal.hash,
        shifted=shifted,
        returnable=returnable,
        obstacle=obstacle,
        writer=governing.writer,
        now=now,
        approval=approval,
        judgement=judgement,
        killed=killed,
    )


def _available(view: ReplicaSetView | None) -> int:
    return view.available if view is not None else 0


def fresh_serving(seen: AgentObservation, revision: str) -> int:
    """How many fresh pods of a revision answer requests beside its own, as one of them does."""
    pods = seen.pods_of(revision, baseline=True)
    return sum(pod.ready and pod.in_traffic and not pod.deleting for pod in pods)


def fault_of(seen: AgentObservation, revision: str) -> Fault | None:
    """The first fault of a revision: what its ReplicaSet says, or a pod, by their names."""
    for view in seen.sets():
        if view.revision == revision and view.fault is not None:
            return view.fault
    return next((pod.fault for pod in lasting_pods(seen, revision) if pod.fault is not None), None)


def _fault_of_new(seen: AgentObservation, governing: SeenUpgrade, goal: Revision) -> Fault | None:
    """The first fault of the new version in this attempt."""
    upgrade = governing.upgrade
    old = {pod.name for pod in stale_pods(seen, goal.hash, upgrade, upgrade.status)}
    pods = {name: pod for name, pod in seen.pods.items() if name not in old}
    lasting = fault_of(replace(seen, pods=pods), goal.hash)
    return lasting or past_crash(seen, goal.hash, upgrade, upgrade.status)


def _unhealthy(seen: AgentObservation, goal: Revision) -> Fault | None:
    """What checks of our own say before the kubelet, which looks less often."""
    if goal.health is None:
        return None
    for pod in seen.pods_of(goal.hash):
        checks = seen.checks.get(pod.uid)
        if checks is None or not pod.ready or pod.deleting:
            continue
        if checks.failures >= goal.health.failure_threshold:
            return check_fault(pod.name, failures=checks.failures, status=checks.status)
    return None


def _refusal(seen: AgentObservation, goal: Revision, status: AgentUpgradeStatus) -> Failure | None:
    """The refusal of something that the new version is made of, for what it is."""
    name = revision_name(seen.agent.metadata.name, goal.hash)
    found = (seen.failures.get(ref) for ref in _made_of(name))
    lasting = (f for f in found if f is not None and not is_outdated(f, status))
    return next((f for f in lasting if f.reason in _ABOUT_THE_OBJECT), None)


def is_asked_anew(failure: Failure, ref: Ref, agent: str, under_way: Run | None) -> bool:
    """Whether a refusal is one of an earlier attempt, so that the server is asked once more."""
    if under_way is None or not is_made_of(ref, agent, under_way.new.hash):
        return False
    return under_way.moving and is_outdated(failure, under_way.status)


def _made_of(name: str) -> Iterable[Ref]:
    return (Ref(kind, name) for kind in ("ReplicaSet", "ConfigMap", "ControllerRevision"))


def is_made_of(ref: Ref, agent: str, revision: str) -> bool:
    """Whether a write was one of what a revision is made of."""
    return ref in _made_of(revision_name(agent, revision))


def mirrored(status: AgentUpgradeStatus) -> int:
    """The percentage of requests that the new version gets copies of at the present step."""
    steps = status.strategy.steps if status.strategy is not None else ()
    at_a_step = status.phase in {UpgradePhase.PROGRESSING, UpgradePhase.PAUSED}
    if not at_a_step or not 0 < status.step <= len(steps):
        return 0
    return steps[status.step - 1].mirror or 0


def weight_seen(seen: AgentObservation, *, new: str, old: str) -> int | None:
    """The percentage of requests that the pods of `new` were seen to get beside those of `old`."""
    return share(_readings(seen, new), _readings(seen, old))


def _readings(seen: AgentObservation, revision: str) -> list[Reading]:
    pods = (*seen.pods_of(revision), *seen.pods_of(revision, baseline=True))
    return [seen.readings[pod.uid] for pod in pods if pod.uid in seen.readings]
