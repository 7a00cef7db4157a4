"""`ModelRig`: an operator that serves the ModelDeployments of a twin, and samples of those."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tests.twin.cluster import Twin
from tests.twin.controllers import Controllers
from tests.twin.rig import Pods, Rig, Sources, loop_clock, shared_metrics

from agentherd.domain.kinds import MODEL_DEPLOYMENT, POD, Key
from agentherd.domain.models.decide import decide_model
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.plan import Plan
from agentherd.domain.warmth import WarmUpAnswer, WarmUpRequest
from agentherd.engine.applier import Applier
from agentherd.engine.audit import Audit
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe_models import SeenModel, model_observer
from agentherd.engine.reconciler import Reconciler
from agentherd.engine.recorder import Recorder
from agentherd.engine.store import Store

NAME = "embedder"
MOST = 10


class Answering:
    """What pods answer to their warm-up request: 200, or 503 where their image is `cold`.

    Those are asked again each second, `MOST` times at most, or nothing would ever be quiet.
    """

    def __init__(self, twin: Twin, *, wake: Callable[[Key], None]) -> None:
        self.cold: set[str] = set()
        self.asked: list[str] = []
        self._twin = twin
        self._wake = wake
        self._followed: dict[Key, dict[str, WarmUpRequest]] = {}
        self._answers: dict[str, WarmUpAnswer] = {}

    def follow(self, key: Key, requests: Collection[WarmUpRequest]) -> None:
        """Ask those that are not being asked yet."""
        known = self._followed.get(key, {})
        self._followed[key] = {each.uid: each for each in requests}
        for each in requests:
            if known.get(each.uid) != each:
                self._answers.pop(each.uid, None)
                asyncio.get_running_loop().call_soon(self._ask, key, each, each.failures)

    def answers(self, key: Key) -> Mapping[str, WarmUpAnswer]:
        """The latest ones, by uid."""
        uids = self._followed.get(key, {}).keys() & self._answers.keys()
        return {uid: self._answers[uid] for uid in uids}

    def _ask(self, key: Key, request: WarmUpRequest, failures: int) -> None:
        pod = next((p for p in self._twin.all(POD) if p["metadata"]["uid"] == request.uid), None)
        if pod is None or self._followed.get(key, {}).get(request.uid) != request:
            return
        cold = pod["spec"]["containers"][0]["image"] in self.cold
        self.asked.append(request.uid)
        self._answers[request.uid] = WarmUpAnswer(
            start=request.start,
            said=f"was answered with status {503 if cold else 200}",
            failures=failures + 1 if cold else 0,
        )
        self._wake(key)
        if cold and failures + 1 < MOST:
            loop = asyncio.get_running_loop()
            loop.call_later(1, self._ask, key, request, failures + 1)


class ModelRig(Rig):
    """One process of the operator, for ModelDeployments alone."""

    def __init__(self, twin: Twin, *, controllers: Controllers | None = None) -> None:
        self.twin = twin
        self.controllers = controllers or Controllers(twin)
        self.store = Store(MODEL_DEPLOYMENT, wake=lambda key: self.models.queue.add(key))
        self.mounts = MountFailures(wake=lambda pod: self.store.wake_owner(POD, pod))
        self.pods = Pods(twin)
        self.sources = Sources(wake=lambda key: self.models.queue.add(key))
        self.warm_ups = Answering(twin, wake=lambda key: self.models.queue.add(key))
        self.observe_model = model_observer(
            self.store,
            self.mounts,
            self.pods,
            answers=self.sources,
            warm_ups=self.warm_ups,
        )
        self.models: Reconciler[SeenModel] = Reconciler(
            MODEL_DEPLOYMENT,
            observe=self.observe_model,
            decide=decide_model,
            applier=Applier(
                cluster=twin,
                store=self.store,
                recorder=Recorder(twin, identity="rig", clock=loop_clock),
                witnesses=(Audit(shared_metrics(), clock=loop_clock),),
            ),
            measurements=self.pods,
            metrics=shared_metrics(),
            clock=loop_clock,
            sources=self.sources,
            warm_ups=self.warm_ups,
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
