"""What belongs to an Agent besides its traffic: which children are made, kept and removed.

Children that all revisions share follow the wanted one, and go only when no pod of another can
need them any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from agentherd.api import AgentStatus, ConfigUpdate
from agentherd.domain import children
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.kinds import (
    CONFIG_ANNOTATION,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    POD,
    REPLICA_SET,
    SERVICE_ACCOUNT,
    Kind,
    baseline_name,
    companion_name,
    revision_name,
)
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Apply, Delete, Manifest, Merge, Ref, Stage
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision, obsolete_revisions, revision_number
from agentherd.domain.template import check
from agentherd.domain.upgrades.change import Choice, is_running
from agentherd.domain.upkeep import keep
from agentherd.domain.views import TIME_FORMAT, Child


def agent_children(
    seen: AgentObservation,
    kept: Collection[Revision],
    *,
    goal: Revision,
    sizes: Mapping[str, int],
    alone: bool,
) -> Iterator[Apply | Delete]:
    """The writes that keep the children of the revisions in `kept`, and those that all share.

    `goal` is the revision that was asked for last; `alone` says that only one has pods.
    """
    agent = seen.agent
    name = agent.metadata.name
    usable = [revision for revision in kept if _pods(seen, revision) is not None]
    if kept and not usable:
        return  # nothing follows from a template that is refused
    accounts = [a for r in usable if (a := children.service_account(agent, r)) is not None]
    if accounts or alone:
        account = accounts[0] if accounts else None
        yield from keep(
            seen,
            SERVICE_ACCOUNT,
            companion_name(name),
            account,
            seen.service_accounts,
            # Before all that runs as it: a refusal of a record keeps the rest from being made.
            stage=Stage.RECORD,
        )
    taken = _account_is_anothers(seen)
    for revision in usable:
        if taken and children.service_account(agent, revision) is not None:
            continue  # what runs already stays as it is
        yield from _revision_children(seen, revision, goal=goal, sizes=sizes)
    if alone and not any(r.in_place and r.mounts_config for r in usable):
        yield from keep(seen, CONFIG_MAP, companion_name(name), None, seen.config_maps)
    budget = children.disruption_budget(agent)
    yield from keep(seen, DISRUPTION_BUDGET, companion_name(name), budget, seen.disruption_budgets)


def _account_is_anothers(seen: AgentObservation) -> bool:
    """Whether pods would run as somebody whom their author may not be allowed to be."""
    ref = Ref(SERVICE_ACCOUNT.name, companion_name(seen.agent.metadata.name))
    failure = seen.failures.get(ref)
    return failure is not None and failure.reason == Reason.NAME_TAKEN


def baseline_children(
    seen: AgentObservation, revision: Revision, sizes: Mapping[str, int]
) -> Iterator[Apply | Delete]:
    """The writes that make the fresh pods of the stable `revision`, and remove what is left.

    `sizes` are by revision. What is wanted follows from the status of the upgrade at each turn, so
    nothing has to remember that there is something to remove.
    """
    size = sizes.get(revision.hash, 0)
    name = baseline_name(seen.agent.metadata.name, revision.hash)
    own = children.service_account(seen.agent, revision) is not None
    refused = own and _account_is_anothers(seen)
    if size and revision.known and not refused and _pods(seen, revision) is not None:
        yield from keep(
            seen,
            REPLICA_SET,
            name,
            children.baseline(seen.agent, revision),
            seen.replica_sets,
            unhashed={"spec": {"replicas": size}},
            starts=True,
        )
    for view in seen.baselines():
        empty = view.current and not view.wanted and not view.replicas
        if empty and not sizes.get(view.revision, 0):
            yield Delete(kind=REPLICA_SET, name=view.name, uid=view.uid)


def reloaded_pods(seen: AgentObservation, status: AgentStatus) -> Iterator[Merge]:
    """Make the kubelet bring a config that is reloaded in place to the pods now.

    It looks at mounted ConfigMaps about once a minute, and at once when the pod itself changes.
    Pods that were made after the change have it already.
    """
    if seen.agent.spec.config_update is not ConfigUpdate.IN_PLACE or not status.config_history:
        return
    changed = status.config_history[-1].at.strftime(TIME_FORMAT)
    for name in sorted(seen.pods):
        pod = seen.pods[name]
        if pod.deleting or pod.created >= changed or pod.config == status.config_hash:
            continue
        note = {CONFIG_ANNOTATION: status.config_hash or ""}
        patch = {"metadata": {"annotations": note}}
        yield Merge(kind=POD, name=name, uid=pod.uid, patch=patch, stage=Stage.SCALE)


def adopted(seen: AgentObservation, written: Collection[Ref]) -> Iterator[Merge]:
    """Take back what nobody owns any more, so that it goes with the Agent.

    That is what an Agent of the same name has left behind that was deleted without its children.
    What is `written` anyway gets its owner with that.
    """
    kinds: Iterable[tuple[Kind, Mapping[str, Child]]] = (
        (CONFIG_MAP, seen.config_maps),
        (CONTROLLER_REVISION, seen.revisions),
        (REPLICA_SET, seen.replica_sets),
    )
    for kind, live in kinds:
        for name, child in sorted(live.items()):
            left = child.owner is None and seen.made(child) and not child.deleting
            if left and Ref(kind.name, name) not in written:
                patch = {"metadata": {"ownerReferences": [children.owner(seen.agent)]}}
                yield Merge(kind=kind, name=name, uid=child.uid, patch=patch, stage=Stage.SCALE)


def obsolete(seen: AgentObservation, choice: Choice, status: AgentStatus) -> Iterator[Delete]:
    """Remove the revisions beyond the history limit, with all that belongs to them.

    Pods whose revision has no record any more go too: nobody could return to them.
    """
    agent = seen.agent
    sets = (*seen.sets(), *seen.baselines())
    serving = {view.revision for view in sets if view.replicas or view.wanted}
    in_use = {
        choice.goal.hash,
        choice.asked.hash,
        status.stable_revision,
        _way_back(seen.upgrades.get(choice.name or "")),
        *_awaited(seen, choice),
        *serving,
    }
    kept = [view for view in seen.revisions.values() if seen.own(view)]
    known = {view.revision for view in kept}
    lost = sorted({view.revision for view in seen.sets()} - known - in_use)
    gone = obsolete_revisions(kept, in_use=in_use, limit=agent.spec.revision_history_limit)
    kinds: Iterable[tuple[Kind, Mapping[str, Child]]] = (
        (REPLICA_SET, seen.replica_sets),
        (CONFIG_MAP, seen.config_maps),
        (CONTROLLER_REVISION, seen.revisions),
    )
    for old in (*gone, *lost):
        name = revision_name(agent.metadata.name, old)
        for kind, live in kinds:
            if name in live and not live[name].deleting and seen.own(live[name]):
                yield Delete(kind=kind, name=name, uid=live[name].uid)


def _way_back(governing: SeenUpgrade | None) -> str | None:
    """The revision that an upgrade may still have to go back to, until it has ended."""
    if governing is None:
        return None
    spec, status = governing.upgrade.spec, governing.upgrade.status
    asked_back = spec.rollback is not None and spec.rollback.requested
    return status.from_revision if asked_back or is_running(governing.upgrade) else None


def _awaited(seen: AgentObservation, choice: Choice) -> Iterator[str]:
    """The revisions that upgrades name whose turn is still to come."""
    for name in choice.objections:
        change = seen.upgrades[name].upgrade.spec.to
        if change is not None and change.revision is not None:
            yield change.revision


def _pods(seen: AgentObservation, revision: Revision) -> Manifest | None:
    """The ReplicaSet of a revision; None where its template contradicts itself."""
    try:
        check(revision.template)
        return children.replica_set(seen.agent, revision)
    except (InvalidTemplate, TemplateConflict):
        return None


def _revision_children(
    seen: AgentObservation, revision: Revision, *, goal: Revision, sizes: Mapping[str, int]
) -> Iterator[Apply | Delete]:
    agent = seen.agent
    name = revision_name(agent.metadata.name, revision.hash)
    config = children.config_map(agent, revision)
    if config is not None and not _reads_on(seen, revision):
        yield from keep(seen, CONFIG_MAP, config["metadata"]["name"], config, seen.config_maps)
    number = _number(seen, revision, newest=revision.hash == goal.hash)
    record = children.controller_revision(agent, revision, number)
    yield from keep(seen, CONTROLLER_REVISION, name, record, seen.revisions)
    size = sizes.get(revision.hash, 0)
    yield from keep(
        seen,
        REPLICA_SET,
        name,
        _pods(seen, revision),
        seen.replica_sets,
        unhashed={"spec": {"replicas": size}},
        starts=size > 0,
    )


def _reads_on(seen: AgentObservation, revision: Revision) -> bool:
    """Whether the pods of a revision go on with the config they share, and not with the next one.

    A spec that stops to reload is a change of the revision as a whole: it comes with its upgrade.
    """
    reloads = seen.agent.spec.config_update is ConfigUpdate.IN_PLACE
    shared = companion_name(seen.agent.metadata.name)
    return revision.in_place and not reloads and shared in seen.config_maps


def _number(seen: AgentObservation, revision: Revision, *, newest: bool) -> int:
    known = {view.revision: view.number for view in seen.revisions.values()}
    if not newest and revision.hash in known:
        return known[revision.hash]
    return revision_number(revision.hash, seen.revisions.values())
