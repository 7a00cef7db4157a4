"""What is seen of one Agent at one moment: everything `decide` may know besides the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentherd.api import Agent, AgentUpgrade, OperatingMode, Phase
from agentherd.domain.judging.metrics import Measured
from agentherd.domain.kinds import AGENT, UNMANAGED_ANNOTATION, WORKLOADS, Key, Kind
from agentherd.domain.plan import Failure, Identity, Owner, Ref
from agentherd.domain.readings import Checks, Monitored, Reading
from agentherd.domain.routing.gateways import SeenGateways
from agentherd.domain.routing.routes import RouteView
from agentherd.domain.upgrades.steering import UNSTEERED, Steering
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults
from agentherd.domain.views import Child, JobView, PodView, ReplicaSetView, RevisionView


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another Agent this one depends on; `needs` are the names it depends on in turn."""

    name: str
    exists: bool
    available: bool
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUpgrade:
    """An AgentUpgrade, who wrote it last, and those it waits for.

    `unreadable` says what this version of the operator does not understand of it, `needs` the
    phases of the upgrades it depends on, by name; None for one that does not exist. `circle` are
    the names by way of which it waits for itself. `approvals_checked` says whether the API server
    refuses forged approvals here, where somebody has to know; None while nobody does.
    """

    upgrade: AgentUpgrade
    writer: str = ""
    unreadable: str = ""
    needs: Mapping[str, str | None] = field(default_factory=dict)
    circle: tuple[str, ...] = ()
    approvals_checked: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What refers to an Agent that does not exist: upgrades, and routes it has left marked.

    `kind` tells whether it would be an Agent or another workload. `failures` are refused writes.
    """

    key: Key
    kind: Kind = AGENT
    upgrades: Mapping[str, SeenUpgrade] = field(default_factory=dict)
    routes: Mapping[tuple[Kind, Key], RouteView] = field(default_factory=dict)
    failures: Mapping[Ref, Failure] = field(default_factory=dict)

    @property
    def owner(self) -> Owner | None:
        """There is none any more."""
        return None

    @property
    def generation(self) -> int:
        """No spec was seen."""
        return 0

    @property
    def phase(self) -> str | None:
        """There is no status either."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentObservation:
    """An Agent, its children by name, its upgrades, routes and dependencies, and refused writes.

    `checks` say what pods answer about their health, by uid, as long as somebody asks them.
    `version` is the resourceVersion, `writer` the field manager that wrote the spec last, and
    `author` the last that did more than to scale it. `unreadable` says what this version of the
    operator does not understand of it. Children are all objects that carry the Agent's label;
    those that belong to an earlier Agent of the same name are among them until the garbage
    collector has removed them. `readings` are by uid of the pod; `routes_known` is false until
    the API server has been asked for routes, and `gateways` are read only where somebody has to
    know what they can do. `measurements` are the answers of other sources by the names of
    metrics, and `jobs` the Jobs that try new versions; `jobs_known` is false until the API
    server has been asked for them. `defaults` are what the operator has been told for
    strategies that leave something open, and `steering` what of an upgrade that runs is not
    settled. `allowed_revisions` are those that a person's upgrade may lead to; None where any
    may be gone to. `monitored` says which figures are wanted while nothing is upgraded too.
    `name_taken` says that an upgrade of another workload has the name of the one to this spec.
    """

    agent: Agent
    defaults: Defaults = DEFAULTS
    steering: Steering = UNSTEERED
    allowed_revisions: frozenset[str] | None = None
    monitored: Monitored | None = None
    version: int = 0
    writer: str = ""
    author: str = ""
    unreadable: str = ""
    upgrades: Mapping[str, SeenUpgrade] = field(default_factory=dict)
    routes: Mapping[tuple[Kind, Key], RouteView] = field(default_factory=dict)
    routes_known: bool = True
    gateways: SeenGateways = field(default_factory=SeenGateways)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    checks: Mapping[str, Checks] = field(default_factory=dict)
    measurements: Mapping[str, Measured] = field(default_factory=dict)
    config_maps: Mapping[str, Child] = field(default_factory=dict)
    disruption_budgets: Mapping[str, Child] = field(default_factory=dict)
    jobs: Mapping[str, JobView] = field(default_factory=dict)
    jobs_known: bool = True
    pods: Mapping[str, PodView] = field(default_factory=dict)
    replica_sets: Mapping[str, ReplicaSetView] = field(default_factory=dict)
    revisions: Mapping[str, RevisionView] = field(default_factory=dict)
    service_accounts: Mapping[str, Child] = field(default_factory=dict)
    services: Mapping[str, Child] = field(default_factory=dict)
    dependencies: tuple[Dependency, ...] = ()
    failures: Mapping[Ref, Failure] = field(default_factory=dict)
    name_taken: bool = False

    @property
    def key(self) -> Key:
        """Where the Agent is."""
        return Key(self.agent.metadata.namespace, self.agent.metadata.name)

    @property
    def identity(self) -> Identity:
        """Exactly this Agent, or the ModelDeployment that is run as one."""
        metadata = self.agent.metadata
        return Identity(kind=WORKLOADS[self.agent.KIND], name=metadata.name, uid=metadata.uid)

    @property
    def owner(self) -> Owner | None:
        """The Agent, as that to which all its children belong."""
        seen_before = self.agent.status.observed_generation is not None
        return Owner(identity=self.identity, seen_before=seen_before)

    @property
    def generation(self) -> int:
        """Which spec was seen."""
        return self.agent.metadata.generation

    @property
    def phase(self) -> Phase | None:
        """The phase that the status says."""
        return self.agent.status.phase

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

    def made(self, child: Child) -> bool:
        """Whether `child` is what we have made for this Agent, or an orphan of one of its name."""
        if child.owner is None:
            return bool(child.applied)
        return child.owner == self.agent.metadata.uid

    def sets(self) -> list[ReplicaSetView]:
        """The ReplicaSets of this very Agent that are to stay, one of each revision."""
        return [view for view in self._lasting() if not view.baseline]

    def baselines(self) -> list[ReplicaSetView]:
        """Those of fresh pods with which a new revision is compared; they count nowhere else."""
        return [view for view in self._lasting() if view.baseline]

    def pods_of(self, revision: str, *, baseline: bool = False) -> list[PodView]:
        """The pods of a revision, by name: its own, or those of the `baseline`."""
        ordered = sorted(self.pods.items())
        of_it = (pod for _, pod in ordered if pod.revision == revision)
        return [pod for pod in of_it if pod.baseline is baseline]

    def _lasting(self) -> list[ReplicaSetView]:
        return [view for view in self.replica_sets.values() if self.own(view) and not view.deleting]
