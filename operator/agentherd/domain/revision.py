"""What a revision is: everything that makes one version of an Agent differ from another.

Template, version, health, drain, model and, unless it is reloaded in place, config: with the
revision all of it goes forward and comes back together. Its name is a digest of this content, so a
spec set back to an earlier one *is* the earlier revision, with its ReplicaSet still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agentherd.api import AgentSpec, ConfigUpdate, Drain, Health, ModelRef
from agentherd.domain.plan import digest
from agentherd.domain.views import RevisionView


@dataclass(frozen=True)
class Revision:
    """The content of a revision, as its ControllerRevision keeps it."""

    data: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """The revision's name: ten hexadecimal digits."""
        return digest(self.data)

    @property
    def known(self) -> bool:
        """Whether the content is known; without it nothing can be made of the revision."""
        return True

    @property
    def version(self) -> str | None:
        """The semantic version the Agent had, if it named one."""
        version: str | None = self.data.get("version")
        return version

    @property
    def template(self) -> Mapping[str, Any]:
        """The pod template as a person wrote it."""
        template: Mapping[str, Any] = self.data["template"]
        return template

    @cached_property
    def health(self) -> Health | None:
        """How a pod tells that it is able to work."""
        return Health.model_validate(self.data["health"]) if "health" in self.data else None

    @cached_property
    def drain(self) -> Drain | None:
        """How a pod is brought to its end."""
        return Drain.model_validate(self.data["drain"]) if "drain" in self.data else None

    @property
    def model(self) -> ModelRef | None:
        """The model that the pods use."""
        return ModelRef.model_validate(self.data["modelRef"]) if "modelRef" in self.data else None

    @property
    def in_place(self) -> bool:
        """Whether the config is shared by all revisions and reloaded by running pods."""
        return bool(self.data["configUpdate"] == ConfigUpdate.IN_PLACE.value)

    @property
    def config(self) -> Mapping[str, str]:
        """The config that belongs to the revision; empty when it is reloaded in place."""
        config: Mapping[str, str] = self.data.get("config", {})
        return config

    @property
    def mounts_config(self) -> bool:
        """Whether the pods have a directory with config."""
        return bool(self.config or self.data.get("hasConfig"))


@dataclass(frozen=True)
class LostRevision(Revision):
    """A revision whose content nobody knows any more, because its record was deleted.

    It has kept its name, by which its pods are found, and the ports that people use.
    """

    name: str

    @cached_property
    def hash(self) -> str:
        """The name it had."""
        return self.name

    @property
    def known(self) -> bool:
        """It is not."""
        return False


def lost_revision(name: str, ports: Iterable[Mapping[str, Any]]) -> LostRevision:
    """What is left of the revision: its `name` and the `ports` of its containers."""
    template = {"spec": {"containers": [{"name": "unknown", "ports": list(ports)}]}}
    data = {"template": template, "configUpdate": ConfigUpdate.ROLLOUT.value}
    return LostRevision(data, name)


class FollowedModel(ModelRef):
    """A model of which every swap is another revision: with the version that is active now."""

    version: str | None = None


def revision_of(spec: AgentSpec) -> Revision:
    """The revision that `spec` asks for."""
    data: dict[str, Any] = {"template": spec.template, "configUpdate": spec.config_update.value}
    if spec.version is not None:
        data["version"] = spec.version
    if spec.health is not None:
        data["health"] = spec.health.model_dump(mode="json", by_alias=True, exclude_none=True)
    if spec.drain is not None:
        data["drain"] = spec.drain.model_dump(mode="json", by_alias=True, exclude_none=True)
    if spec.model_ref is not None:
        data["modelRef"] = spec.model_ref.model_dump(by_alias=True, exclude={"version"})
    if isinstance(spec.model_ref, FollowedModel) and spec.model_ref.version is not None:
        data["modelVersion"] = spec.model_ref.version
    if spec.config and spec.config_update is ConfigUpdate.ROLLOUT:
        data["config"] = spec.config
    if spec.config_update is ConfigUpdate.IN_PLACE:
        data["hasConfig"] = bool(spec.config)
    return Revision(data)


def revision_number(target: str, kept: Iterable[RevisionView]) -> int:
    """The number of revision `target`: its own while it is the newest, else the next one.

    An earlier revision that is asked for again becomes the newest, as with a Deployment.
    """
    numbers = {view.revision: view.number for view in kept}
    newest = max(numbers.values(), default=0)
    return newest if numbers.get(target) == newest and newest else newest + 1


def obsolete_revisions(
    kept: Iterable[RevisionView], *, in_use: Iterable[str | None], limit: int
) -> tuple[str, ...]:
    """The revisions beyond the `limit` newest of those that are not in use, oldest first."""
    used = set(in_use)
    spare = sorted((v for v in kept if v.revision not in used), key=lambda v: v.number)
    return tuple(v.revision for v in spare[: max(0, len(spare) - limit)])
