"""`tree`: what belongs to an Agent, from its upgrades down to single pods.

An upgrade that runs has its two revisions below it; all others that have pods, and those that
could be gone back to, stand by themselves. Nothing is shown twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from agentherd.api import Agent, AgentUpgrade, UpgradePhase
from agentherd.domain.kinds import REVISION_LABEL, TRAFFIC_LABEL, TRAFFIC_OFF
from agentherd.plugin.overview import agent_data, upgrade_data
from agentherd.plugin.terminal import coloured
from agentherd.plugin.words import duration, has_ended, is_of, printable, step

Object = Mapping[str, Any]

LATEST: Final = 5
"""How many upgrades that have ended are shown; `kubectl get agup` lists all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLine:
    """A pod as far as a person wants to know. `trouble` is why a container does not run."""

    name: str
    revision: str
    ready: bool
    state: str
    trouble: str = ""
    restarts: int = 0
    age: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An Agent and all that belongs to it; `kept` are revisions, upgrades come newest first."""

    agent: Agent
    upgrades: tuple[AgentUpgrade, ...]
    kept: tuple[str, ...]
    pods: tuple[PodLine, ...]

    def pods_of(self, revision: str) -> list[PodLine]:
        """The pods of a revision by their names."""
        return sorted((p for p in self.pods if p.revision == revision), key=lambda p: p.name)

    @property
    def running(self) -> tuple[AgentUpgrade, ...]:
        """The upgrades that have begun and not ended."""
        return tuple(
            each for each in self.upgrades if each.status.to_revision and not has_ended(each)
        )

    @property
    def loose(self) -> list[str]:
        """Revisions that no running upgrade is about, those with pods first."""
        taken = {
            name
            for each in self.running
            for name in (each.status.from_revision, each.status.to_revision)
        }
        known = dict.fromkeys(
            name
            for name in (
                self.agent.status.stable_revision,
                self.agent.status.target_revision,
                *(pod.revision for pod in self.pods),
                *self.agent.status.former_revisions,
                *self.kept,
            )
            if name and name not in taken
        )
        return sorted(known, key=lambda name: not self.pods_of(name))


def family(
    agent: Agent,
    upgrades: Sequence[AgentUpgrade],
    *,
    replica_sets: Sequence[Object],
    pods: Sequence[Object],
    now: datetime,
) -> Family:
    """Sort out what belongs to an Agent. ReplicaSets and pods are as on the wire."""
    own = [u for u in upgrades if is_of(u, agent)]
    own.sort(key=lambda each: str(each.metadata.creation_timestamp), reverse=True)
    labels = (each["metadata"].get("labels", {}) for each in replica_sets)
    return Family(
        agent=agent,
        upgrades=tuple(own),
        kept=tuple(each[REVISION_LABEL] for each in labels if REVISION_LABEL in each),
        pods=tuple(pod_line(printable(pod), now=now) for pod in pods),
    )


def pod_line(pod: Object, *, now: datetime) -> PodLine:
    """What a pod is like."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels = metadata.get("labels", {})
    containers = status.get("containerStatuses") or ()
    ready = any(
        c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()
    )
    state = status.get("phase", "Pending")
    if metadata.get("deletionTimestamp"):
        state = "Terminating"
    elif labels.get(TRAFFIC_LABEL) == TRAFFIC_OFF:
        state = "without requests"
    waiting = (each.get("state", {}).get("waiting", {}).get("reason", "") for each in containers)
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    return PodLine(
        name=metadata["name"],
        revision=labels.get(REVISION_LABEL, ""),
        ready=ready,
        state=state,
        trouble=", ".join(sorted({each for each in waiting if each})),
        restarts=sum(each.get("restartCount", 0) for each in containers),
        age=(now - created).total_seconds(),
    )


def tree(found: Family) -> Tree:
    """The tree as it is drawn."""
    agent = found.agent
    root = Tree(
        Text.assemble(
            ("Agent ", "dim"),
            (agent.metadata.name, "bold"),
            "  ",
            coloured(agent.status.phase or "unseen"),
            f"  {agent.status.available_replicas}/{agent.spec.replicas} pods available",
        ),
        guide_style="dim",
    )
    running = found.running
    for upgrade in running:
        branch = root.add(_upgrade_line(upgrade))
        status = upgrade.status
        for name, what in ((status.to_revision, "new"), (status.from_revision, "old")):
            if name:
                _add_revision(branch, found, name, what)
    for revision in found.loose:
        _add_revision(root, found, revision, _role(found, revision))
    waiting = [u for u in found.upgrades if u not in running and not has_ended(u)]
    ended = [u for u in found.upgrades if has_ended(u)]
    for upgrade in (*waiting, *ended[:LATEST]):
        root.add(_upgrade_line(upgrade))
    if len(ended) > LATEST:
        root.add(Text(f"{len(ended) - LATEST} older upgrades", "dim"))
    return root


def tree_data(found: Family) -> dict[str, Any]:
    """The same for programs; every revision with its pods, every upgrade with its revisions."""
    revisions = dict.fromkeys(
        [
            *(
                name
                for each in found.running
                for name in (each.status.to_revision, each.status.from_revision)
                if name
            ),
            *found.loose,
        ]
    )
    return agent_data(found.agent) | {
        "upgrades": [upgrade_data(each) for each in found.upgrades],
        "revisions": [
            {
                "revision": name,
                "role": _role(found, name),
                "pods": [
                    {
                        "name": pod.name,
                        "ready": pod.ready,
                        "state": pod.state,
                        "trouble": pod.trouble,
                        "restarts": pod.restarts,
                    }
                    for pod in found.pods_of(name)
                ],
            }
            for name in revisions
        ],
    }


def _role(found: Family, revision: str) -> str:
    status = found.agent.status
    if revision == status.stable_revision:
        return "stable"
    if any(revision == each.status.to_revision for each in found.running):
        return "new"
    return "wanted" if revision == status.target_revision else "former"


def _upgrade_line(upgrade: AgentUpgrade) -> Text:
    status = upgrade.status
    line = Text.assemble(
        ("upgrade ", "dim"),
        (upgrade.metadata.name, "bold"),
        "  ",
        coloured(status.phase or UpgradePhase.PENDING),
    )
    if not has_ended(upgrade) and status.to_revision:
        line.append(f"  step {step(upgrade)}  {status.weight} %")
    elif status.to_revision:
        line.append(f"  {status.from_revision} → {status.to_revision}", "dim")
    if status.rollback is not None:
        line.append(f"  {status.rollback.trigger}", "red")
    return line


def _add_revision(branch: Tree, found: Family, revision: str, what: str) -> None:
    pods = found.pods_of(revision)
    line = Text.assemble(("revision ", "dim"), revision, f"  {what}")
    version = _version(found, revision)
    if version:
        line.append(f"  {version}")
    if not pods:
        line.append("  no pods", "dim")
    node = branch.add(line)
    for pod in pods:
        node.add(Text.assemble(*_pod_parts(pod)))


def _pod_parts(pod: PodLine) -> Iterator[str | tuple[str, str]]:
    yield from (("● " if pod.ready else "○ ", "green" if pod.ready else "yellow"), pod.name)
    yield f"  {'ready' if pod.ready and pod.state == 'Running' else pod.state}"
    if pod.trouble:
        yield (f"  {pod.trouble}", "bold red")
    if pod.restarts:
        yield (f"  {pod.restarts} restarts", "yellow")
    yield (f"  {duration(pod.age)}", "dim")


def _version(found: Family, revision: str) -> str | None:
    for upgrade in found.upgrades:
        status = upgrade.status
        if revision == status.to_revision:
            return status.to_version
        if revision == status.from_revision:
            return status.from_version
    return found.agent.spec.version if revision == found.agent.status.target_revision else None
