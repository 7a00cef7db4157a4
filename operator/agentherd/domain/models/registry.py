"""Which of the registered versions is asked for.

A swap comes before a canary: which version is to serve is the first question, and which one is
tried beside it the second. A version that does not do what users need is not asked for, unless it
is the one that serves: without it nobody would be served at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentherd.api import ModelCanary, ModelDeployment, ModelVersion, SwapOutcome, VersionState
from agentherd.domain.faults import Fault
from agentherd.domain.models.compatibility import differences
from agentherd.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The version that is asked for; None while there is none that may run.

    `canary` is how it is tried, None where it is to serve. `complaint` is why another one that
    the spec names is not asked for.
    """

    version: ModelVersion | None
    canary: ModelCanary | None = None
    complaint: Fault | None = None


def asked(model: ModelDeployment) -> Asked:
    """The version that the spec asks for, as far as it may run."""
    spec, serving = model.spec, model.status.active_version
    complaint: Fault | None = None
    for name, canary in _wishes(model):
        version = version_named(model, name)
        if version is None:
            continue
        missing = incompatibilities(model, version)
        if not missing:
            return Asked(version=version, canary=canary, complaint=complaint)
        whose = "spec.requires" if spec.requires is not None else f"version {serving}, which serves"
        complaint = complaint or Fault(
            Reason.INCOMPATIBLE,
            f"version {name} does not do what {whose} says: {'; '.join(missing)}. Register a "
            "version that does, or change what is required",
        )
    return Asked(version=version_named(model, serving), complaint=complaint)


def _wishes(model: ModelDeployment) -> list[tuple[str, ModelCanary | None]]:
    """The names of versions in the order in which they are asked for, the last that which serves.

    A canary has to wait until the version that it is tried beside has taken over, and for pods that
    are wanted. Once it was tried it is asked for without any too: it would be tried anew otherwise
    as soon as there are pods again, though it had failed.
    """
    spec, serving = model.spec, model.status.active_version
    wishes: list[tuple[str, ModelCanary | None]] = [(spec.active_version, None)]
    takes_over = model.status.canary_version == serving
    settled = serving == spec.active_version and not takes_over
    if settled and spec.canary is not None and spec.canary.version != serving:
        name = spec.canary.version
        if spec.replicas > 0 or _was_tried(model, name):
            wishes.insert(0, (name, spec.canary))
    if serving is not None and serving != spec.active_version:
        wishes.append((serving, None))
    return wishes


def _was_tried(model: ModelDeployment, name: str) -> bool:
    """Whether the upgrade that governs has begun to try the version, or has given it up."""
    if model.status.canary_version == name:
        return True
    known = {version.name: version.state for version in model.status.versions}
    return known.get(name) is VersionState.FAILED


def version_named(model: ModelDeployment, name: str | None) -> ModelVersion | None:
    """The registered version of that name."""
    return next((version for version in model.spec.versions if version.name == name), None)


def incompatibilities(model: ModelDeployment, version: ModelVersion) -> tuple[str, ...]:
    """What users need and `version` does not do.

    Where nobody has said what they need, it is what the version that serves declares, and one that
    has served these users before may always serve them again.
    """
    if model.spec.requires is None and _has_served(model, version.name):
        return ()
    serving = version_named(model, model.status.active_version)
    needs = model.spec.requires or (serving.compatibility if serving is not None else None)
    return differences(needs, version.compatibility)


def _has_served(model: ModelDeployment, name: str) -> bool:
    """Whether the version serves, or did as far as the swaps that are kept tell."""
    if name == model.status.active_version:
        return True
    swaps = model.status.swaps
    return any(
        s.from_ == name or (s.to == name and s.outcome is SwapOutcome.PROMOTED) for s in swaps
    )
