"""What is asked for of an Agent, by its spec and by its upgrades, and who decides.

One upgrade at a time governs an Agent; its name stands in the Agent's status. A changed spec takes
the place of whatever runs, since it is the newest word. Among upgrades that people have created
the higher priority goes first, the older one where that is equal; what runs is not interrupted by
them. An upgrade that has ended governs on: as long as the spec still asks for what was rolled back,
it is the reason why that is not tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any, Final

from agentherd.api import (
    AgentSpec,
    AgentUpgrade,
    Automation,
    Change,
    ConfigUpdate,
    EffectiveStrategy,
    OperatingMode,
    StrategyType,
    UpgradePhase,
)
from agentherd.domain.errors import InvalidTemplate
from agentherd.domain.kinds import AGENT, spec_upgrade_name
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision, lost_revision, revision_of
from agentherd.domain.routing.gateways import mirror_fault
from agentherd.domain.routing.services import ServiceView
from agentherd.domain.routing.traffic import port_fault
from agentherd.domain.template import check
from agentherd.domain.upgrades.approval import Standing, automation_of, standing
from agentherd.domain.upgrades.judgement import analysis_of
from agentherd.domain.upgrades.phases import ENDED
from agentherd.domain.upgrades.strategy import course, settled

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an upgrade cannot begin; `waits` when that may pass by itself."""

    reason: Reason
    message: str
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which upgrade governs, and what it leads to.

    `name` is None while nothing but the spec counts. `make` asks for an upgrade that does not exist
    yet. `superseded` are the names of those that run no longer. `objections` are those against
    the upgrades that people have created, by name; None for one that only waits for its turn.
    """

    asked: Revision
    name: str | None
    goal: Revision
    make: bool = False
    superseded: frozenset[str] = frozenset()
    objections: Mapping[str, Objection | None]


def is_running(upgrade: AgentUpgrade) -> bool:
    """Whether an upgrade has begun and has not ended."""
    phase = upgrade.status.phase
    return phase not in {None, UpgradePhase.PENDING} and phase not in ENDED


def is_asked_again(upgrade: AgentUpgrade) -> bool:
    """Whether a person wants another attempt of an upgrade that was rolled back."""
    rolled_back = upgrade.status.phase is UpgradePhase.ROLLED_BACK
    return rolled_back and upgrade.spec.attempt > (upgrade.status.attempt or 1)


def is_asked_in_vain(upgrade: AgentUpgrade) -> bool:
    """Whether another attempt is asked for of one that runs, or has not been rolled back.

    The API server refuses that, unless the phase changed in the same moment.
    """
    begun = upgrade.status.phase not in {None, UpgradePhase.PENDING, UpgradePhase.ROLLED_BACK}
    return begun and upgrade.spec.attempt > (upgrade.status.attempt or 1)


def choose(seen: AgentObservation) -> Choice:
    """Decide which upgrade governs the Agent, and so which revision is wanted."""
    agent, status = seen.agent, seen.agent.status
    asked = revision_of(agent.spec)
    stable = status.stable_revision
    running = {name for name, each in seen.upgrades.items() if is_running(each.upgrade)}
    objections = {
        name: objection(seen, each, asked)
        for name, each in seen.upgrades.items()
        if name not in running and _is_waiting(each.upgrade)
    }
    if stable is None:
        never = Objection(
            Reason.NEVER_AVAILABLE,
            f"the {agent.KIND} has not been available yet, so there is nothing to change",
            waits=True,
        )
        objections = {name: found or never for name, found in objections.items()}
        return Choice(
            asked=asked,
            name=None,
            goal=asked,
            superseded=frozenset(running),
            objections=objections,
        )
    made_for_a_spec = {n for n, each in seen.upgrades.items() if _is_unused(seen, each.upgrade)}
    name, make = status.upgrade, False
    governing = seen.upgrades.get(name or "")
    changed = asked.hash != status.target_revision
    runs = governing is not None and is_running(governing.upgrade)
    if changed and not (runs and _leads_to(governing, asked.hash)):
        # A spec set back to what serves needs no upgrade; whatever ran for another one ends.
        name = None
        if asked.hash != stable and (seen.wanted or is_gated(agent.spec)):
            name = upgrade_name(seen, asked)
            make = name not in seen.upgrades
    elif governing is None or (not runs and not _is_waiting(governing.upgrade)):
        free = sorted(
            (n for n, found in objections.items() if found is None and n not in made_for_a_spec),
            key=lambda n: _precedence(seen.upgrades[n].upgrade),
        )
        if free and seen.wanted:
            name = free[0]
    goal = _goal(seen, name, asked, stable=stable, make=make)
    return Choice(
        asked=asked,
        name=name,
        goal=goal,
        make=make,
        superseded=frozenset((running | made_for_a_spec) - {name}),
        objections=objections,
    )


def upgrade_name(seen: AgentObservation, asked: Revision) -> str:
    """The name of the upgrade for the spec as it stands; the same however often it is asked for.

    A person may have given that name to one of their own, also to one of another workload. And one
    spec may ask for a revision again and again, as where a model is followed whose versions take
    turns: what has ended is no way.
    """
    name = spec_upgrade_name(seen.agent.metadata.name, seen.generation)
    own = () if seen.name_taken else (name,)
    again = (f"{name}-{asked.hash}-{number}" for number in count(2))
    return next(
        each
        for each in chain(own, (f"{name}-{asked.hash}",), again)
        if (taken := seen.upgrades.get(each)) is None or _is_for(seen, taken.upgrade, asked)
    )


def objection(seen: AgentObservation, each: SeenUpgrade, asked: Revision) -> Objection | None:
    """Why this upgrade cannot begin now, or None."""
    upgrade = each.upgrade
    if each.unreadable:
        return Objection(Reason.NOT_UNDERSTOOD, f"this operator cannot read {each.unreadable}")
    spec, change = seen.agent.spec, upgrade.spec.to
    if change is not None and change.revision is None and AGENT.name != seen.agent.KIND:
        return Objection(
            Reason.NOT_SUPPORTED,
            f"the versions of a {seen.agent.KIND} are in its spec, so spec.to can only have a "
            "revision; register another version there and make it the active one",
        )
    if (
        change is not None
        and change.revision is not None
        and revision_named(seen, change.revision, asked) is None
    ):
        return Objection(
            Reason.REVISION_NOT_FOUND,
            f"{seen.agent.metadata.name} has no revision {change.revision}; "
            "kubectl get controllerrevisions lists those that are kept",
        )
    allowed = seen.allowed_revisions
    if (
        change is not None
        and change.revision not in {None, asked.hash}
        and allowed is not None
        and change.revision not in allowed
    ):
        return Objection(
            Reason.NOT_SUPPORTED,
            f"revision {change.revision} is not what a registered version that does what users "
            f"need would run as today; make a version the active one in the {seen.agent.KIND}",
        )
    in_place = spec.config_update is ConfigUpdate.IN_PLACE
    if change is not None and change.config is not None and in_place:
        return Objection(
            Reason.TEMPLATE_CONFLICT,
            "to.config cannot be tried on some pods while configUpdate of the Agent is InPlace, "
            "which gives all of them the same config; change it in the Agent, or set Rollout there",
        )
    if change is not None and (complaint := _complaint(changed_spec(spec, change).template)):
        return Objection(Reason.INVALID_TEMPLATE, complaint)
    if lower := _downgrade(seen, upgrade):
        return lower
    if portless := _portless(seen, upgrade, asked):
        return portless
    if unsupported := _unsupported(seen, upgrade, asked):
        return unsupported
    if upgrade.spec.rollback is not None and upgrade.spec.rollback.requested:
        return Objection(Reason.ROLLBACK_REQUESTED, "a rollback is requested before it has begun")
    if each.circle:
        return Objection(
            Reason.DEPENDENCY_CYCLE,
            f"{' → '.join((*each.circle, each.circle[0]))}: each of them waits for the next; "
            "take one out of spec.dependsOn",
        )
    missing = [name for name, phase in each.needs.items() if phase != UpgradePhase.SUCCEEDED]
    if missing:
        return Objection(
            Reason.WAITING_FOR_DEPENDENCIES,
            f"waits until {', '.join(sorted(missing))} has succeeded",
            waits=True,
        )
    if upgrade.spec.paused:
        return Objection(Reason.PAUSED, "spec.paused is true before it has begun", waits=True)
    approval = approval_before(seen, each, asked)
    return Objection(approval.reason, approval.message, waits=True) if approval.bars(0) else None


def approval_before(seen: AgentObservation, each: SeenUpgrade, asked: Revision) -> Standing:
    """How it stands with the approval of an upgrade that can be made and has not begun."""
    upgrade, stable = each.upgrade, seen.agent.status.stable_revision or ""
    strategy = strategy_of(seen, upgrade)
    goal = _goal(seen, upgrade.metadata.name, asked, stable=stable, make=False)
    steps = course(strategy, direct=is_direct(seen, strategy, goal)).steps
    return standing(
        upgrade, strategy, steps=len(steps), goal=goal.hash, checked=each.approvals_checked
    )


def strategy_of(seen: AgentObservation, upgrade: AgentUpgrade) -> EffectiveStrategy:
    """The upgrade's own strategy, or else the Agent's, as it holds if it begins now."""
    spec = seen.agent.spec
    found = settled(
        upgrade.spec.strategy or spec.upgrade_policy,
        seen.defaults,
        progress_deadline_seconds=spec.progress_deadline_seconds,
    )
    automation = automation_of(spec.upgrade_policy, upgrade.spec.approval)
    analysis = analysis_of(seen, upgrade)
    return found.model_copy(update={"automation": automation, "analysis": analysis})


def is_direct(seen: AgentObservation, strategy: EffectiveStrategy, goal: Revision) -> bool:
    """Whether steps would protect nobody: the revision has proved itself, or nobody is served."""
    known = goal.hash in seen.agent.status.former_revisions[: strategy.rollback_window]
    return known or seen.agent.spec.operating_mode is OperatingMode.MAINTENANCE


def revision_named(seen: AgentObservation, name: str, asked: Revision) -> Revision | None:
    """The content of a revision by its name, if it is kept or just asked for."""
    if name == asked.hash:
        return asked
    view = next((v for v in seen.revisions.values() if v.revision == name and seen.own(v)), None)
    return Revision(view.data) if view is not None else None


def revision_or_lost(seen: AgentObservation, name: str, asked: Revision) -> Revision:
    """A revision by its name, if only by that: one that is not found is never taken for another.

    Of one that is lost the Service of the Agent still tells the ports.
    """
    found = revision_named(seen, name, asked)
    if found is not None:
        return found
    service = seen.services.get(seen.agent.metadata.name)
    return lost_revision(name, service.container_ports if isinstance(service, ServiceView) else ())


def changed_spec(spec: AgentSpec, change: Change) -> AgentSpec:
    """The spec that an Agent has once the change is made."""
    update: dict[str, Any] = {}
    if change.version is not None:
        update["version"] = change.version
    if change.config is not None:
        update["config"] = change.config
    template = spec.template if change.template is None else merged(spec.template, change.template)
    if change.image is not None and _complaint(template) is None:
        first, *others = template["spec"]["containers"]
        containers = [{**first, "image": change.image}, *others]
        template = {**template, "spec": {**template["spec"], "containers": containers}}
    return spec.model_copy(update={**update, "template": template})


def merged(target: Any, patch: Any) -> Any:
    """The target with a JSON merge patch applied (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def difference(before: Any, after: Any) -> Any:
    """The JSON merge patch that makes `after` of `before`; {} when there is nothing to do."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return after
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif before[key] != value:
            patch[key] = difference(before[key], value)
    return patch


def promoted(spec: AgentSpec, revision: Revision) -> dict[str, Any]:
    """The merge patch of an Agent's spec after which it asks for `revision`."""
    fields = ("template", "version", "health", "drain", "modelRef", "configUpdate", "config")
    now = spec.model_dump(by_alias=True, exclude_none=True)
    before = {name: now[name] for name in fields if now.get(name)}
    after = {name: revision.data[name] for name in fields if name in revision.data}
    if revision.in_place and revision.mounts_config and "config" in before:
        after["config"] = before["config"]
    patch: dict[str, Any] = difference(before, after)
    return patch


def is_gated(spec: AgentSpec) -> bool:
    """Whether changes need approval, as they then do of an Agent that is stopped meanwhile too."""
    return automation_of(spec.upgrade_policy, None) is not Automation.AUTO


def _is_waiting(upgrade: AgentUpgrade) -> bool:
    return upgrade.status.phase in {None, UpgradePhase.PENDING} or is_asked_again(upgrade)


def _is_unused(seen: AgentObservation, upgrade: AgentUpgrade) -> bool:
    """Whether it was made by the operator and never begun: it is for the spec of that time only."""
    ours = upgrade.metadata.controller == seen.agent.metadata.uid
    return ours and upgrade.status.phase in {None, UpgradePhase.PENDING}


def _is_for(seen: AgentObservation, upgrade: AgentUpgrade, asked: Revision) -> bool:
    """Whether it was made by the operator for what is asked now."""
    change = upgrade.spec.to
    return _is_unused(seen, upgrade) and change is not None and change.revision == asked.hash


def _leads_to(governing: SeenUpgrade | None, revision: str) -> bool:
    return governing is not None and governing.upgrade.status.to_revision == revision


def _precedence(upgrade: AgentUpgrade) -> tuple[int, datetime, str]:
    created = upgrade.metadata.creation_timestamp or _BEGINNING
    return (-upgrade.spec.priority, created, upgrade.metadata.name)


def _goal(
    seen: AgentObservation, name: str | None, asked: Revision, *, stable: str, make: bool
) -> Revision:
    """What the governing upgrade leads to; without one, what serves."""
    governing = seen.upgrades.get(name or "")
    if make or governing is None:
        return asked if make or not seen.wanted else revision_or_lost(seen, stable, asked)
    upgrade = governing.upgrade
    begun = upgrade.status.to_revision if not is_asked_again(upgrade) else None
    change = upgrade.spec.to
    goal = asked
    if change is not None and change.revision is not None:
        goal = revision_or_lost(seen, change.revision, asked)
    elif change is not None:
        goal = revision_of(changed_spec(seen.agent.spec, change))
    # The Agent's spec may have changed since, and what has been made meanwhile may be lost.
    return goal if begun in {None, goal.hash} else revision_or_lost(seen, begun or "", asked)


def _complaint(template: Mapping[str, Any]) -> str | None:
    """What is wrong with the shape of a template that a merge patch has made."""
    try:
        check(template)
    except InvalidTemplate as error:
        return str(error)
    return None


def _downgrade(seen: AgentObservation, upgrade: AgentUpgrade) -> Objection | None:
    change = upgrade.spec.to
    before = seen.agent.spec.version
    if change is None or change.version is None or before is None or upgrade.spec.allow_downgrade:
        return None
    if precedence_of(change.version) >= precedence_of(before):
        return None
    return Objection(
        Reason.DOWNGRADE,
        f"version {change.version} is lower than {before}; set spec.allowDowngrade to do it anyway",
    )


def _portless(seen: AgentObservation, upgrade: AgentUpgrade, asked: Revision) -> Objection | None:
    """Why requests could not go on to the new version; a change would interrupt them."""
    traffic, stable = seen.agent.spec.traffic, seen.agent.status.stable_revision or ""
    old = revision_named(seen, stable, asked)
    if old is None:
        return None
    if traffic is not None and traffic.route_ref is not None and not seen.routes_known:
        unread = "the routes have not been read yet"
        return Objection(Reason.WAITING_FOR_TRAFFIC, unread, waits=True)
    goal = _goal(seen, upgrade.metadata.name, asked, stable=stable, make=False)
    by_pod = strategy_of(seen, upgrade).type is StrategyType.ROLLING_UPDATE
    found = port_fault(seen, old, goal, shared=by_pod or traffic is None)
    return Objection(found.reason, found.message) if found else None


def _unsupported(
    seen: AgentObservation, upgrade: AgentUpgrade, asked: Revision
) -> Objection | None:
    """What the Gateways cannot do of a strategy; it does not matter where no step is taken."""
    strategy = strategy_of(seen, upgrade)
    percentages = {step.mirror for step in strategy.steps if step.mirror}
    if not percentages:
        return None
    stable = seen.agent.status.stable_revision or ""
    goal = _goal(seen, upgrade.metadata.name, asked, stable=stable, make=False)
    if is_direct(seen, strategy, goal):
        return None
    faults = (
        mirror_fault(seen.gateways, seen.key, seen.agent.spec.traffic, percent)
        for percent in sorted(percentages)
    )
    found = next(filter(None, faults), None)
    if found is None:
        return None
    return Objection(found.reason, found.message, waits=found.reason is not Reason.NOT_SUPPORTED)


def precedence_of(version: str) -> tuple[Any, ...]:
    """What orders semantic versions (SemVer 2.0, section 11); build metadata does not count."""
    core, _, prerelease = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    if not prerelease:
        return (*numbers, 1, ())
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in prerelease.split(".")
    )
    return (*numbers, 0, parts)
