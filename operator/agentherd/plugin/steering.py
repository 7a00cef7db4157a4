"""What each verb writes into the spec of an upgrade, decided from the upgrade as it is.

A verb that has been said already changes nothing and says so; one that cannot have an effect any
more is refused before it is sent. The API server has the last word in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from agentherd.api import Agent, AgentUpgrade, ModelDeployment, TargetKind, UpgradePhase
from agentherd.api.meta import Condition
from agentherd.domain.upgrades.phases import MOVING
from agentherd.plugin.problems import Problem, near
from agentherd.plugin.words import condition, has_ended, is_of

MAX_ATTEMPTS: Final = 100

APPROVAL: Final = "agentupgrades/approval"
"""The permission to approve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """A merge patch of the spec, or None where there is nothing to do; and what is told.

    `guarded` asks that the patch is refused when the object has changed since it was read; then
    it is decided anew, and with `as_seen` only if the spec is still the same. `hints` are verbs
    with which to go on.
    """

    said: str
    patch: dict[str, Any] | None = None
    guarded: bool = False
    as_seen: bool = False
    hints: tuple[str, ...] = ("watch",)


def pause(upgrade: AgentUpgrade) -> Steer:
    """Stay where it is."""
    name = upgrade.metadata.name
    if upgrade.spec.paused:
        return Steer(said=f"{name} is paused already, {position(upgrade)}.", hints=("resume",))
    _refuse_over(upgrade, "paused")
    return Steer(
        patch={"paused": True},
        said=f"{name} stays where it is, {position(upgrade)}; it is still rolled back if it fails.",
        hints=("resume",),
    )


def resume(upgrade: AgentUpgrade) -> Steer:
    """Go on after a pause that a person asked for."""
    name = upgrade.metadata.name
    if not upgrade.spec.paused:
        waits = condition(upgrade, "Progressing")
        why = f" It waits: {waits.message}." if waits and _is_waiting(upgrade) else ""
        hints = ("promote", "watch") if why else ("watch",)
        return Steer(said=f"{name} is not paused by anybody.{why}", hints=hints)
    return Steer(patch={"paused": False}, said=f"{name} goes on from {position(upgrade)}.")


def promote(upgrade: AgentUpgrade, *, step: int | None, full: bool) -> Steer:
    """Go on before a pause is over: from the present step, through `step`, or to the end."""
    name, status = upgrade.metadata.name, upgrade.status
    _refuse_over(upgrade, "promoted")
    if step is not None and status.steps and step > status.steps:
        raise Problem(f"{name} has {status.steps} steps: give one of them to --step")
    if step is None and not full:
        step = status.step
        if status.phase in {None, UpgradePhase.PENDING} or not step:
            raise Problem(
                f"{name} is at no step: say how far it may go with --step N, or --full for all"
            )
    wanted = {"full": True} if full else {"step": step}
    how_far = (
        "skips all steps that are left and takes over as soon as its pods are ready"
        if full
        else f"does not wait at step {step} or any before it"
    )
    tail = "".join(f" {each}" for each in _obstacles(upgrade))
    given = upgrade.spec.promote
    if given is not None and (given.full or (not full and (given.step or 0) >= (step or 0))):
        return Steer(said=f"{name} was promoted so far already.{tail}")
    return Steer(patch={"promote": wanted}, said=f"{name} {how_far}.{tail}")


def abort(upgrade: AgentUpgrade, *, reason: str | None) -> Steer:
    """Go back to the old version while the upgrade runs."""
    if has_ended(upgrade):
        name = upgrade.metadata.name
        hint = (
            f": `kubectl agentherd rollback {name}` takes it back"
            if upgrade.status.phase is UpgradePhase.SUCCEEDED
            else ""
        )
        raise Problem(f"{name} has ended ({upgrade.status.phase}), nothing runs{hint}")
    return _go_back(upgrade, reason=reason)


def rollback(
    upgrade: AgentUpgrade, target: Agent | ModelDeployment | None, *, reason: str | None
) -> Steer:
    """Go back to the old version, also after the upgrade has succeeded."""
    name, status = upgrade.metadata.name, upgrade.status
    if has_ended(upgrade) and status.phase is UpgradePhase.SUPERSEDED:
        raise Problem(f"{name} was superseded by a later change: roll that back")
    governs = target is not None and target.status.upgrade == name
    if has_ended(upgrade) and status.phase is UpgradePhase.SUCCEEDED and not governs:
        if upgrade.spec.target_ref.kind is TargetKind.MODEL_DEPLOYMENT:
            raise Problem(
                f"a later change than {name} governs the ModelDeployment: make "
                f"{status.from_version or 'another one'} the activeVersion of "
                f"{upgrade.spec.target_ref.name}"
            )
        raise Problem(
            f"a later change than {name} governs the Agent: say where to go back to, with "
            f"`kubectl agentherd rollback agent/{upgrade.spec.target_ref.name} --to-revision "
            f"{status.from_revision}`"
        )
    return _go_back(upgrade, reason=reason)


def retry(upgrade: AgentUpgrade) -> Steer:
    """Try again after a rollback."""
    name, spec, status = upgrade.metadata.name, upgrade.spec, upgrade.status
    attempt = status.attempt or 1
    if spec.attempt > attempt:
        return Steer(said=f"Attempt {spec.attempt} of {name} was asked for already.")
    if status.phase is UpgradePhase.ROLLING_BACK:
        raise Problem(f"{name} is just being rolled back: try again when that has ended")
    if status.phase is not UpgradePhase.ROLLED_BACK:
        raise Problem(
            f"{name} has not been rolled back ({status.phase or UpgradePhase.PENDING}), so there "
            "is nothing to try again"
        )
    if attempt >= MAX_ATTEMPTS:
        raise Problem(f"{name} was tried {attempt} times, which is the limit: create another one")
    said = f"Attempt {attempt + 1} of {name} begins."
    if spec.feedback:
        said += " The feedback that was given still counts."
    patch: dict[str, Any] = {"attempt": attempt + 1, "rollback": None, "promote": None}
    if spec.approval is not None and spec.approval.approved_by is not None:
        # What was approved was the attempt that failed; the API server refuses to keep it.
        patch["approval"] = {"approvedBy": None, "revision": None}
        said += " It has to be approved anew."
    return Steer(patch=patch, guarded=True, said=said)


def approve(upgrade: AgentUpgrade, *, user: str) -> Steer:
    """Approve the upgrade as it is, in one's own name."""
    name = upgrade.metadata.name
    _refuse_over(upgrade, "approved")
    given, record = upgrade.spec.approval, upgrade.status.approval
    needed = condition(upgrade, "Approved")
    if given is not None and given.approved_by == user and not (needed and needed.status != "True"):
        since = f" since {record.at:%Y-%m-%d %H:%M:%S} UTC" if record else ""
        return Steer(said=f"{name} is approved by {user} already{since}.")
    tail = "" if needed else " So far nothing of it waits for approval."
    return Steer(
        patch={"approval": {"approvedBy": user, "revision": _to_be_approved(needed)}},
        guarded=True,
        as_seen=True,
        said=f"{name} is approved by {user}.{tail}",
    )


def feedback(upgrade: AgentUpgrade, *, giver: str, rating: int, comment: str | None) -> Steer:
    """Say what one thinks of the new version; who has said something before says it anew."""
    name = upgrade.metadata.name
    _refuse_over(upgrade, "rated")
    entry = {"from": giver, "rating": rating} | ({"comment": comment} if comment else {})
    before = [each.model_dump(by_alias=True, exclude_none=True) for each in upgrade.spec.feedback]
    if entry in before:
        return Steer(said=f"{giver} has given {name} {rating} of 5 already.", hints=("explain",))
    others = [each for each in before if each["from"] != giver]
    return Steer(
        patch={"feedback": [*others, entry]},
        guarded=True,
        said=f"{giver} gives {name} {rating} of 5.",
        hints=("explain",),
    )


def way_back(
    agent: Agent,
    upgrades: list[AgentUpgrade],
    *,
    revision: str,
    kept: list[str],
    reason: str | None,
) -> dict[str, Any] | str:
    """The upgrade that leads back to a kept revision; or the name of one that does so already.

    `kept` are the revisions of the Agent that still exist.

    Raises:
        Problem: the revision is not kept, or serves already.
    """
    name, status = agent.metadata.name, agent.status
    running = [
        each.metadata.name
        for each in upgrades
        if is_of(each, agent)
        and not has_ended(each)
        and each.spec.to is not None
        and each.spec.to.revision == revision
    ]
    if running:
        return running[0]
    if revision not in kept:
        known = [each for each in status.former_revisions if each in kept]
        there = f": it keeps {', '.join(known)}" if known else ", nor any other former one"
        raise Problem(f"Agent {name} keeps no revision {revision}{near(revision, known)}{there}")
    if revision == status.stable_revision == status.target_revision:
        raise Problem(f"revision {revision} is the one that serves in Agent {name}")
    annotations = {"kubernetes.io/change-cause": reason} if reason else {}
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "AgentUpgrade",
        "metadata": {"generateName": f"{name}-to-{revision}-", "annotations": annotations},
        "spec": {"targetRef": {"name": name}, "to": {"revision": revision}, "priority": 10},
    }


def running_in(agent: Agent, upgrades: list[AgentUpgrade]) -> str | None:
    """The upgrade of an Agent that has begun and not ended, for whose end others wait."""
    return next(
        (
            each.metadata.name
            for each in upgrades
            if is_of(each, agent)
            and each.status.phase not in {None, UpgradePhase.PENDING}
            and not has_ended(each)
        ),
        None,
    )


def position(upgrade: AgentUpgrade) -> str:
    """Where it is, in words."""
    status = upgrade.status
    if status.phase in {None, UpgradePhase.PENDING}:
        return "before its beginning"
    if status.phase is UpgradePhase.PROMOTING or not status.step:
        return "before it takes over"
    return f"step {status.step} of {status.steps}, weight {status.weight} %"


def _go_back(upgrade: AgentUpgrade, *, reason: str | None) -> Steer:
    name, status, asked = upgrade.metadata.name, upgrade.status, upgrade.spec.rollback
    if asked is not None and asked.requested:
        done = "was rolled back" if has_ended(upgrade) else "is being rolled back"
        return Steer(said=f"{name} {done}, that was asked for already.", hints=("explain",))
    if status.phase in {UpgradePhase.ROLLING_BACK, UpgradePhase.ROLLED_BACK}:
        return Steer(said=f"{name} is rolled back already.", hints=("explain",))
    begun = status.phase not in {None, UpgradePhase.PENDING}
    said = (
        f"{name} goes back to {status.from_version or status.from_revision}."
        if begun
        else f"{name} does not begin."
    )
    return Steer(patch={"rollback": {"requested": True, "reason": reason}}, said=said)


def _to_be_approved(needed: Condition | None) -> str | None:
    """The revision that the operator asks to approve, so that no other one is by mistake."""
    found = re.findall(r"revision (\S+) needs approval", needed.message if needed else "")
    return found[-1] if found else None


def _refuse_over(upgrade: AgentUpgrade, verb: str) -> None:
    """Nothing keeps a rollback from its end, nor what has ended."""
    name, phase = upgrade.metadata.name, upgrade.status.phase
    if phase is UpgradePhase.ROLLING_BACK:
        raise Problem(f"{name} is just being rolled back and cannot be {verb} any more")
    if not has_ended(upgrade):
        return
    hint = (
        f"; `kubectl agentherd retry {name}` tries it again"
        if phase is UpgradePhase.ROLLED_BACK
        else ""
    )
    raise Problem(f"{name} has ended ({phase}) and cannot be {verb} any more{hint}")


def _is_waiting(upgrade: AgentUpgrade) -> bool:
    return upgrade.status.phase is UpgradePhase.PAUSED and upgrade.status.phase in MOVING


def _obstacles(upgrade: AgentUpgrade) -> list[str]:
    """What else keeps an upgrade from going on."""
    found = []
    if upgrade.spec.paused:
        found.append("It stays where it is until somebody resumes it.")
    approved = condition(upgrade, "Approved")
    if approved is not None and approved.status != "True":
        found.append("It also waits for approval.")
    return found
