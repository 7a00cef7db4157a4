"""From the store to what `decide_model` is given: the Agent it would be, and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, cast

from agentherd.api import Agent, ModelDeployment, Routing
from agentherd.domain.kinds import Key
from agentherd.domain.models.figures import Figures, figures
from agentherd.domain.models.observation import ModelObservation
from agentherd.domain.models.registry import asked
from agentherd.domain.models.workload import allowed_revisions, workload
from agentherd.domain.observation import AgentObservation, Leftovers
from agentherd.domain.plan import Failure, Ref
from agentherd.domain.readings import Monitored
from agentherd.domain.upgrades.change import is_asked_again
from agentherd.domain.upgrades.phases import ENDED
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults
from agentherd.domain.warmth import WarmUpAnswer
from agentherd.engine.mounts import MountFailures
from agentherd.engine.observe import Answers, FindModel, FindUpgrade, Readings, agent_observer
from agentherd.engine.store import Store, Workload

SeenModel = ModelObservation | Leftovers
ObserveModel = Callable[[Key, Mapping[Ref, Failure]], SeenModel | None]


class WarmUpAnswers(Protocol):
    """Where the latest answers of pods to their warm-up requests are."""

    def answers(self, key: Key) -> Mapping[str, WarmUpAnswer]:
        """The answers of the pods of a ModelDeployment, by uid."""
        ...


def model_observer(
    store: Store,
    mounts: MountFailures,
    readings: Readings,
    *,
    answers: Answers,
    warm_ups: WarmUpAnswers,
    routes_known: Callable[[], bool] = lambda: True,
    jobs_known: Callable[[], bool] = lambda: True,
    approvals_checked: Callable[[Key], bool | None] = lambda _model: None,
    find_upgrade: FindUpgrade | None = None,
    find_model: FindModel = lambda _model: None,
    defaults: Defaults = DEFAULTS,
) -> ObserveModel:
    """A function that observes ModelDeployments.

    The arguments are those of `agent_observer`, and where the answers to warm-up requests are.
    """

    def agent_of(subject: Workload) -> Agent:
        model = cast("ModelDeployment", subject)
        return workload(model, asked(model), defaults)

    observe_workload = agent_observer(
        store,
        mounts,
        readings,
        answers=answers,
        routes_known=routes_known,
        jobs_known=jobs_known,
        approvals_checked=approvals_checked,
        find_upgrade=find_upgrade,
        find_model=find_model,
        agent_of=agent_of,
        defaults=defaults,
    )

    def observe(key: Key, failures: Mapping[Ref, Failure]) -> SeenModel | None:
        seen = observe_workload(key, failures)
        if seen is None or isinstance(seen, Leftovers):
            return seen
        model = cast("ModelDeployment", store.workload(key))
        needed = model.spec.slo is not None or model.spec.routing is Routing.PERFORMANCE
        wanted = model.spec.monitoring.enabled or needed
        monitored = Monitored(accuracy=model.spec.monitoring.accuracy) if wanted else None
        return ModelObservation(
            model=model,
            asked=asked(model),
            workload=replace(
                seen,
                monitored=monitored,
                allowed_revisions=allowed_revisions(model, defaults) if _may_begin(seen) else None,
            ),
            figures=_figures(seen),
            answers=warm_ups.answers(key),
        )

    return observe


def _may_begin(seen: AgentObservation) -> bool:
    """Whether an upgrade may begin, for which alone the digests of all versions are needed."""
    upgrades = (each.upgrade for each in seen.upgrades.values())
    return any(one.status.phase not in ENDED or is_asked_again(one) for one in upgrades)


def _figures(seen: AgentObservation) -> Mapping[str, Figures]:
    """How the versions did lately, by revision."""
    revisions = {pod.revision for pod in seen.pods.values()}
    told = {
        revision: figures(
            seen.readings[pod.uid] for pod in seen.pods_of(revision) if pod.uid in seen.readings
        )
        for revision in revisions
    }
    return {revision: found for revision, found in told.items() if found is not None}
