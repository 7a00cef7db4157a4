"""Objects that record what happens to an Agent: the upgrades that are made and forgotten.

The spec of the Agent is written in one case only: a change that a person asked for in an upgrade
has succeeded, and the Agent is to ask for it from now on.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentherd.api import AgentUpgrade, UpgradePhase
from agentherd.domain import children
from agentherd.domain.kinds import AGENT_UPGRADE
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import (
    Create,
    Delete,
    Intent,
    Merge,
    Stage,
)
from agentherd.domain.upgrades.change import Choice, promoted
from agentherd.domain.upgrades.run import Run
from agentherd.domain.upgrades.status import identity_of


def records(seen: AgentObservation, choice: Choice, under_way: Run | None) -> Iterator[Intent]:
    """Upgrades that are made or forgotten, and a spec into which a success is written."""
    agent = seen.agent
    if choice.make and choice.name is not None:
        made = children.upgrade(agent, choice.name, choice.asked, requested_by=seen.author)
        yield Create(kind=AGENT_UPGRADE, manifest=made)
    stable = agent.status.stable_revision
    takes_over = under_way is not None and under_way.serving == under_way.new.hash != stable
    if takes_over and choice.asked.hash != choice.goal.hash:
        yield Merge(
            kind=seen.identity.kind,
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
            and not _stands_in(seen, each.upgrade)
        ),
        key=lambda upgrade: (upgrade.status.finished_at, upgrade.metadata.name),
    )
    for upgrade in ended[: max(0, len(ended) - agent.spec.revision_history_limit)]:
        target = identity_of(upgrade)
        yield Delete(kind=AGENT_UPGRADE, name=target.name, uid=target.uid, stage=Stage.SCALE)


def _stands_in(seen: AgentObservation, upgrade: AgentUpgrade) -> bool:
    """Whether pods that it has brought may serve on, which nothing else would tell."""
    status, stable = upgrade.status, seen.agent.status.stable_revision
    if status.phase is not UpgradePhase.SUPERSEDED or status.to_revision == stable:
        return False
    return any(view.wanted and view.revision == status.to_revision for view in seen.sets())
