"""`ModelRig`: an operator that serves the ModelDeployments of a twin, and samples of those."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.twin.cluster import Twin
from tests.twin.controllers import Controllers
from tests.twin.rig import Pods, Rig, Sources, loop_clock, shared_metrics

from agentherd.domain.kinds import MODEL_DEPLOYMENT, POD, Key
from agentherd.domain.models.decide import decide_model
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.plan import Plan
from agentherd.engine.applier import Applier
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe_models import SeenModel, model_observer
from agentherd.engine.reconciler import Reconciler
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

NAME = "embedder"


class ModelRig(Rig):
    """One process of the operator, for ModelDeployments alone."""

    def __init__(self, twin: Twin, *, controllers: Controllers | None = None) -> None:
        self.twin = twin
        self.controllers = controllers or Controllers(twin)
        self.store = Store(MODEL_DEPLOYMENT, wake=lambda key: self.models.queue.add(key))
        self.mounts = MountFailures(wake=lambda pod: self.store.wake_owner(POD, pod))
        self.pods = Pods(twin)
        self.sources = Sources(wake=lambda key: self.models.queue.add(key))
        self.observe_model = model_observer(
            self.store, self.mounts, self.pods, answers=self.sources
        )
        recorder = Recorder(twin, identity="rig", clock=loop_clock)
        self.models: Reconciler[SeenModel] = Reconciler(
            MODEL_DEPLOYMENT,
            observe=self.observe_model,
            decide=decide_model,
            applier=Applier(cluster=twin, store=self.store, recorder=recorder),
            measurements=self.pods,
            metrics=shared_metrics(),
            clock=loop_clock,
            sources=self.sources,
        )
        self.reconciler = self.models  # type: ignore[assignment]  # it is driven the same way
        self._seen: int | None = None

    def seen_model(self, name: str = NAME) -> ModelObservation:
        """What is seen of a ModelDeployment now."""
        seen = self.observe_model(Key("default", name), {})
        assert isinstance(seen, ModelObservation)
        return seen

    def plan(self, name: str = NAME) -> Plan:
        """What would be done now."""
        return decide_model(self.seen_model(name), loop_clock())


def version(name: str, **fields: Any) -> dict[str, Any]:
    """A version whose pods run the image of its name."""
    return {"name": name, "image": f"model:{name}"} | fields


def raw_model(versions: Iterable[str] = ("v1", "v2", "v3"), **spec: Any) -> dict[str, Any]:
    """`embedder` with one pod of its first version, as the API server gives it."""
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.name,
        "metadata": {
            "name": NAME,
            "namespace": "default",
            "uid": f"uid-of-{NAME}",
            "resourceVersion": "1",
            "generation": 1,
        },
        "spec": {
            "versions": [version(name) for name in versions],
            "activeVersion": "v1",
            "replicas": 1,
        }
        | spec,
    }
