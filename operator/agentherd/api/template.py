"""The part of a pod template that the schema of an Agent describes.

A CRD that spells out the whole PodSpec is half a megabyte, so only what every Agent needs is
checked at admission; the rest is kept as it is and judged by the API server when the pods'
ReplicaSet is applied. These models are never parsed into: the operator keeps a template opaque.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from agentherd.api.markers import DNS_LABEL, list_map
from agentherd.api.meta import WireModel

_OPEN: Final[dict[str, JsonValue]] = {"x-kubernetes-preserve-unknown-fields": True}


class Container(WireModel):
    """A container of the agent's pods. Every field of a Kubernetes container may be used; fields
    that are not listed here are checked when the pods are created."""

    model_config = ConfigDict(json_schema_extra=_OPEN)

    name: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_LABEL)]
    """Name of the container, unique within the pod: lower-case letters, digits and `-`. Logs and
    error messages refer to it."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """Image the container runs, for example `registry.example.com/team/agent:1.4.2`. Give a tag or
    a digest that never changes, so that going back to an older revision brings back the same
    program."""


class PodSpec(WireModel):
    """Specification of the pods. Every field of a Kubernetes PodSpec may be used; fields that are
    not listed here are checked when the pods are created, and a mistake in them is shown in the
    condition `Ready`."""

    model_config = ConfigDict(json_schema_extra=_OPEN)

    containers: Annotated[
        tuple[Container, ...], Field(min_length=1, max_length=64), list_map("name")
    ]
    """Containers of the pod, at least one. The first is the agent itself: `spec.health` adds its
    probes to it. Every container gets the environment variables `AGENTHERD_AGENT`,
    `AGENTHERD_VERSION`, `AGENTHERD_REVISION` and, with `spec.config`, `AGENTHERD_CONFIG_DIR`; it
    must not set them itself."""


_Text = Annotated[str, StringConstraints(max_length=262144)]


class TemplateMeta(WireModel):
    """Labels and annotations of the pods."""

    # Templates are pasted from other objects, with `creationTimestamp: null` and the like.
    model_config = ConfigDict(json_schema_extra=_OPEN)

    labels: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=63)]],
        Field(max_length=64, default_factory=dict),
    ]
    """Labels of the pods, besides those the operator sets itself (`app.kubernetes.io/name`,
    `app.kubernetes.io/version`, `app.kubernetes.io/managed-by`, `agentherd.dev/...`)."""

    annotations: Annotated[dict[str, _Text], Field(max_length=64, default_factory=dict)]
    """Annotations of the pods, for example to have their metrics scraped."""


class PodTemplate(WireModel):
    """Template of the agent's pods."""

    metadata: TemplateMeta | None = None
    """Labels and annotations the pods get. Names are given by the operator."""

    spec: PodSpec
    """Specification of the pods. Every field of a Kubernetes PodSpec may be used; fields that are
    not listed here are checked when the pods are created, and a mistake in them is shown in the
    condition `Ready`."""
