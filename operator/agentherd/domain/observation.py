"""What is seen of one Agent at one moment: everything `decide` may know besides the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentherd.api import Agent, OperatingMode
from agentherd.domain.kinds import UNMANAGED_ANNOTATION
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.views import Child, PodView, ReplicaSetView, RevisionView


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another Agent this one depends on; `needs` are the names it depends on in turn."""

    name: str
    exists: bool
    available: bool
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentObservation:
    """An Agent, its children by name, its dependencies and the writes that were refused.

    `writer` is the field manager that wrote the Agent last; `unreadable` says what this version
    of the operator does not understand of it. Children are all objects that carry
    the Agent's label; those that belong to an earlier Agent of the same name are among them
    until the garbage collector has removed them.
    """

    agent: Agent
    writer: str = ""
    unreadable: str = ""
    config_maps: Mapping[str, Child] = field(default_factory=dict)
    disruption_budgets: Mapping[str, Child] = field(default_factory=dict)
    pods: Mapping[str, PodView] = field(default_factory=dict)
    replica_sets: Mapping[str, ReplicaSetView] = field(default_factory=dict)
    revisions: Mapping[str, RevisionView] = field(default_factory=dict)
    service_accounts: Mapping[str, Child] = field(default_factory=dict)
    services: Mapping[str, Child] = field(default_factory=dict)
    dependencies: tuple[Dependency, ...] = ()
    failures: Mapping[Ref, Failure] = field(default_factory=dict)

    @property
    def unmanaged(self) -> bool:
        """Whether people asked the operator to keep its hands off."""
        return self.agent.metadata.annotations.get(UNMANAGED_ANNOTATION) == "true"

    @property
    def wanted(self) -> int:
        """How many pods the spec asks for, dependencies left aside."""
        spec = self.agent.spec
        runs = spec.operating_mode in {OperatingMode.RUNNING, OperatingMode.MAINTENANCE}
        return spec.replicas if runs else 0

    def own(self, child: Child) -> bool:
        """Whether `child` belongs to this very Agent, or to nobody and may be taken."""
        return child.owner in {self.agent.metadata.uid, None}
