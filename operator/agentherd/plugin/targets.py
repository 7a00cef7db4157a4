"""What a name on the command line means.

`hello-3` is an upgrade or an Agent, whichever there is; `agent/hello` and `upgrade/hello-3` leave
no doubt. A verb that needs an upgrade and is given an Agent means the upgrade that governs it, the
one that `status.upgrade` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from agentherd import __version__
from agentherd.api import Agent, AgentUpgrade, ModelDeployment, TargetKind
from agentherd.api.markers import DNS_SUBDOMAIN
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT, Kind
from agentherd.plugin.connection import Connection, Object
from agentherd.plugin.problems import Absent, Problem, near
from agentherd.plugin.words import printable

PREFIXES: Final[Mapping[str, Kind]] = {
    "agent": AGENT,
    "agents": AGENT,
    "ag": AGENT,
    "upgrade": AGENT_UPGRADE,
    "agentupgrade": AGENT_UPGRADE,
    "agentupgrades": AGENT_UPGRADE,
    "agup": AGENT_UPGRADE,
}

_NAME: Final = re.compile(DNS_SUBDOMAIN)

Read = TypeVar("Read", Agent, AgentUpgrade, ModelDeployment)


def read(model: type[Read], raw: Object) -> Read:
    """An object of the cluster, fit to be shown.

    Raises:
        Problem: a newer operator has written what this plugin does not know.
    """
    try:
        return model.model_validate(printable(raw))
    except ValidationError as error:
        name = raw.get("metadata", {}).get("name")
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise Problem(
            f"{model.KIND} {name} cannot be read by version {__version__} of this plugin "
            f"({where}: {fault['msg']}); install the version of the operator"
        ) from error


def agents(connection: Connection, *, everywhere: bool = False) -> list[Agent]:
    """All Agents of the namespace, or of all namespaces."""
    found = connection.moment(AGENT, everywhere=everywhere).items
    return [read(Agent, raw) for raw in found]


def upgrades(connection: Connection, *, everywhere: bool = False) -> list[AgentUpgrade]:
    """All upgrades of the namespace, or of all namespaces."""
    found = connection.moment(AGENT_UPGRADE, everywhere=everywhere).items
    return [read(AgentUpgrade, raw) for raw in found]


def parse(text: str) -> tuple[Kind | None, str]:
    """The kind that the text names, if it names one, and the name."""
    prefix, slash, name = text.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and prefix.lower() not in PREFIXES):
        said = text or "an empty word"
        raise Problem(f"{said} is no target: give a name, agent/NAME or upgrade/NAME")
    return PREFIXES[prefix.lower()] if slash else None, name


def locate(connection: Connection, text: str) -> Agent | AgentUpgrade:
    """The Agent or the upgrade that is meant.

    Raises:
        Absent: there is neither.
        Problem: there are both.
    """
    kind, name = parse(text)
    upgrade = None if kind is AGENT else connection.find(AGENT_UPGRADE, name)
    agent = None if kind is AGENT_UPGRADE else connection.find(AGENT, name)
    if upgrade is not None and agent is not None:
        raise Problem(
            f"{name} is the name of an Agent and of an upgrade: say agent/{name} or upgrade/{name}"
        )
    if upgrade is not None:
        return read(AgentUpgrade, upgrade)
    if agent is not None:
        return read(Agent, agent)
    raise Absent(_missing(connection, kind, name))


def governing(connection: Connection, text: str) -> AgentUpgrade:
    """The upgrade that is meant, or that governs the Agent that is meant.

    Raises:
        Absent: there is none.
    """
    found = locate(connection, text)
    if isinstance(found, AgentUpgrade):
        return found
    name = found.metadata.name
    if found.status.upgrade is None:
        raise Absent(f"Agent {name} has no upgrade yet: every change of its spec makes one")
    upgrade = named(connection, found.status.upgrade)
    if upgrade is None:
        raise Absent(f"the upgrade {found.status.upgrade} of Agent {name} has been deleted")
    return upgrade


def named(connection: Connection, name: str | None) -> AgentUpgrade | None:
    """The upgrade of that name, if there is one."""
    raw = connection.find(AGENT_UPGRADE, name) if name else None
    return None if raw is None else read(AgentUpgrade, raw)


def target(connection: Connection, upgrade: AgentUpgrade) -> Agent | ModelDeployment | None:
    """The Agent or the model that an upgrade changes, unless it has been deleted."""
    reference = upgrade.spec.target_ref
    if reference.kind is TargetKind.MODEL_DEPLOYMENT:
        raw = connection.find(MODEL_DEPLOYMENT, reference.name)
        return None if raw is None else read(ModelDeployment, raw)
    raw = connection.find(AGENT, reference.name)
    return None if raw is None else read(Agent, raw)


def _missing(connection: Connection, kind: Kind | None, name: str) -> str:
    kinds = (AGENT, AGENT_UPGRADE) if kind is None else (kind,)
    names = [
        str(raw["metadata"]["name"]) for each in kinds for raw in connection.moment(each).items
    ]
    what = "Agent or upgrade" if kind is None else ("Agent" if kind is AGENT else "upgrade")
    place = f"namespace {connection.namespace}"
    if not names:
        return f"{place} has no {what} at all: choose another one with --namespace"
    return f"{place} has no {what} {name}{near(name, names)}"
