"""A verb carried out: the upgrade is read, the verb decides, and its patch is sent.

Operator and people write the same object all the time. A patch that must not overwrite anything is
refused when the object has changed since it was read, and is decided anew on what it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agentherd.api import Agent, AgentUpgrade
from agentherd.domain.kinds import AGENT_UPGRADE, REVISION_LABEL
from agentherd.plugin import steering, targets
from agentherd.plugin.connection import Connection
from agentherd.plugin.problems import Changed
from agentherd.plugin.steering import Steer

TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What is told of a verb: a sentence, and the verbs with which to go on from `upgrade`."""

    said: str
    upgrade: str
    hints: tuple[str, ...]


def carry_out(connection: Connection, target: str, decide: Callable[[AgentUpgrade], Steer]) -> Done:
    """Do what `decide` says of the upgrade that is meant.

    Raises:
        Changed: it changed each time, or in a way that a person has to look at first.
    """
    first = upgrade = targets.governing(connection, target)
    name = first.metadata.name
    for remaining in reversed(range(TRIES)):
        steer = decide(upgrade)
        try:
            _send(connection, upgrade, steer)
        except Changed:
            if not remaining:
                raise
            upgrade = targets.governing(connection, f"upgrade/{name}")
            if _is_another(first, upgrade, as_seen=steer.as_seen):
                raise Changed(f"{name} was changed meanwhile: look at it again") from None
        else:
            break
    return Done(said=steer.said, upgrade=name, hints=steer.hints)


def roll_back_to(
    connection: Connection, agent: Agent, *, revision: str, reason: str | None
) -> Done:
    """Make an upgrade that leads an Agent back to a revision it keeps, unless there is one."""
    records = connection.children("ControllerRevision", agent.metadata.name)
    kept = [each["metadata"].get("labels", {}).get(REVISION_LABEL, "") for each in records]
    upgrades = targets.upgrades(connection)
    found = steering.way_back(agent, upgrades, revision=revision, kept=kept, reason=reason)
    if isinstance(found, str):
        return Done(
            said=f"{found} goes back to {revision} already.", upgrade=found, hints=("watch",)
        )
    made = connection.create(AGENT_UPGRADE, found)["metadata"]["name"]
    said = f"{made} takes Agent {agent.metadata.name} back to {revision}."
    if running := steering.running_in(agent, upgrades):
        said += f" It waits until {running} has ended."
    return Done(said=said, upgrade=made, hints=("watch",))


def _send(connection: Connection, upgrade: AgentUpgrade, steer: Steer) -> None:
    if steer.patch is None:
        return
    version = {"resourceVersion": upgrade.metadata.resource_version}
    guard = {"metadata": version} if steer.guarded else {}
    connection.patch(AGENT_UPGRADE, upgrade.metadata.name, {**guard, "spec": steer.patch})


def _is_another(before: AgentUpgrade, after: AgentUpgrade, *, as_seen: bool) -> bool:
    """Whether what was meant is not what is there any more."""
    one, other = before.metadata, after.metadata
    return one.uid != other.uid or (as_seen and one.generation != other.generation)
