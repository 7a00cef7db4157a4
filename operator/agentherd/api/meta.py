"""What every object of the API has: metadata, conditions, and how models meet the wire.

On the wire names are camelCase, here they are snake_case. A client ignores fields that it does not
know, because a newer version may know more; the operator, which acts on what it reads, refuses them
where it reads objects. Models are frozen: what was parsed is what was seen.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from agentherd.api.enums import ConditionStatus
from agentherd.api.markers import Clip, Int64, Time

API_GROUP: Final = "agentherd.dev"
API_VERSION: Final = "v1alpha1"


class WireModel(BaseModel):
    """A part of an object as it is on the wire. The docstring of a field is its documentation."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def model_dump(self, *, mode: str = "json", **options: Any) -> dict[str, Any]:
        """Dump to what can be sent; `mode="python"` keeps enumerations, tuples and times."""
        return super().model_dump(mode=mode, **options)


class OwnerReference(WireModel):
    """An object without which this one is removed."""

    uid: str
    """Identity of the owner."""

    controller: bool = False
    """Whether the owner decides about this object."""


class ObjectMeta(WireModel):
    """The part of an object's metadata that the operator reads."""

    name: str
    """Name of the object, unique within its namespace."""

    namespace: str = ""
    """Namespace the object lives in."""

    uid: str = ""
    """Identity of this object; another one of the same name has another uid."""

    resource_version: str = ""
    """Version of the stored object, comparable between objects of the same kind."""

    generation: int = 0
    """Number that the API server raises whenever the spec changes."""

    creation_timestamp: Time | None = None
    """Time at which the object was created."""

    deletion_timestamp: Time | None = None
    """Time at which deletion was asked for; absent while the object is to stay."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object."""

    owner_references: tuple[OwnerReference, ...] = ()
    """Objects without which this one is removed."""

    @property
    def controller(self) -> str | None:
        """Identity of the object that decides about this one; None for one a person made."""
        return next((owner.uid for owner in self.owner_references if owner.controller), None)


class StoredObject(WireModel):
    """An object that the API server stores: a kind of ours, with metadata, spec and status."""

    KIND: ClassVar[str]
    PLURAL: ClassVar[str]

    metadata: ObjectMeta
    """Name, namespace, labels and annotations of the object."""


class Condition(WireModel):
    """One aspect of the state of an object, in the form all Kubernetes tools understand."""

    type: Annotated[
        str,
        StringConstraints(
            max_length=316,
            pattern=(
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
            ),
        ),
    ]
    """Name of the aspect in CamelCase, for example `Ready`."""

    status: ConditionStatus
    """Whether the aspect holds: `True`, `False`, or `Unknown` where it cannot be told."""

    observed_generation: Annotated[Int64, Field(ge=0)] | None = None
    """The `metadata.generation` this condition was decided for. Smaller than the current one means
    that the condition is out of date."""

    last_transition_time: Time
    """Time at which `status` last changed. A change of reason or message alone does not count."""

    reason: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
        ),
    ]
    """Why the condition has its status, as one CamelCase word for programs."""

    message: Annotated[str, Clip(32768)]
    """Why the condition has its status, as a sentence for people. May be empty."""
