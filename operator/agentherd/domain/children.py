"""The children of an Agent as manifests: what each has to look like, not how it is written.

Every manifest names the Agent as its controller, so the API server's garbage collector removes
what is left when the Agent goes, with no finalizer that could get stuck.
"""

from __future__ import annotations

from typing import Any

from agentherd.api import Agent, OperatingMode, Strategy
from agentherd.domain.kinds import (
    ADMITTED,
    ADMITTED_LABEL,
    AGENT,
    AGENT_UPGRADE,
    BASELINE,
    BASELINE_LABEL,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DISRUPTION_BUDGET,
    GROUP,
    REPLICA_SET,
    REQUESTED_BY_ANNOTATION,
    REVISION_LABEL,
    SERVICE,
    SERVICE_ACCOUNT,
    TRAFFIC_LABEL,
    TRAFFIC_ON,
    WORKLOADS,
    Kind,
    baseline_name,
    companion_name,
    revision_name,
    revision_service_name,
)
from agentherd.domain.revision import Revision
from agentherd.domain.template import (
    config_map_name,
    container_ports,
    labels,
    named_account,
    own_label,
    pod_template,
    revision_labels,
)

Manifest = dict[str, Any]

_OUT_OF_SERVICE = {f"{GROUP}/in-maintenance": "true"}
"""A selector term that no pod fulfils: in maintenance pods run but are sent nothing."""


def service(agent: Agent, serving: Revision, *, selected: str | None) -> Manifest | None:
    """The stable address of the Agent's pods; None for a template without ports.

    Its ports are those of the revision that is `serving`. With `selected` it sends to the pods of
    that revision only; without, to those of all.
    """
    ports = container_ports(serving.template)
    if not ports:
        return None
    selector = own_label(agent) | {TRAFFIC_LABEL: TRAFFIC_ON}
    if selected is not None:
        selector[REVISION_LABEL] = selected
    if agent.spec.operating_mode is OperatingMode.MAINTENANCE:
        selector |= _OUT_OF_SERVICE
    spec = {"type": "ClusterIP", "selector": selector, "ports": ports}
    return owned(agent, SERVICE, agent.metadata.name) | {"spec": spec}


def revision_service(agent: Agent, revision: Revision) -> Manifest | None:
    """The address of one revision's pods, for a route that splits and for people who look first.

    It sends to the pods that were admitted, whether they are ready or not. If an unready pod left
    it by itself, a route whose weight is still in force would have nobody to send to, and people
    would be answered by the Gateway; what takes requests away from a failing version is the weight.
    """
    ports = container_ports(revision.template)
    if not ports:
        return None
    name = agent.metadata.name
    selector = own_label(agent) | {
        REVISION_LABEL: revision.hash,
        TRAFFIC_LABEL: TRAFFIC_ON,
        ADMITTED_LABEL: ADMITTED,
    }
    if agent.spec.operating_mode is OperatingMode.MAINTENANCE:
        selector |= _OUT_OF_SERVICE
    body = owned(agent, SERVICE, revision_service_name(name, revision.hash))
    body["metadata"]["labels"] = revision_labels(agent, revision)
    spec = {"type": "ClusterIP", "selector": selector, "ports": ports}
    return body | {"spec": spec | {"publishNotReadyAddresses": True}}


def route(agent: Agent, kind: Kind, spec: Manifest) -> Manifest:
    """The Agent's own route."""
    return owned(agent, kind, agent.metadata.name) | {"spec": spec}


def upgrade(agent: Agent, name: str, revision: Revision, *, requested_by: str = "") -> Manifest:
    """The upgrade that leads the Agent to what its spec asks for, as `requested_by` wrote it.

    What else the policy says has no place in a strategy, and is looked up when the upgrade begins.
    """
    of_kind = {} if AGENT.name == agent.KIND else {"kind": agent.KIND}
    spec: Manifest = {
        "targetRef": of_kind | {"name": agent.metadata.name},
        "to": {"revision": revision.hash},
    }
    if agent.spec.upgrade_policy is not None:
        spec["strategy"] = agent.spec.upgrade_policy.model_dump(
            by_alias=True, exclude_unset=True, include=set(Strategy.model_fields)
        )
    body = owned(agent, AGENT_UPGRADE, name)
    if requested_by:
        body["metadata"]["annotations"] = {REQUESTED_BY_ANNOTATION: requested_by}
    return body | {"spec": spec}


def service_account(agent: Agent, revision: Revision) -> Manifest | None:
    """The identity of the Agent's pods; None when the template names one of its own.

    It is granted nothing, and its token is mounted only where the template asks for it.
    """
    if named_account(revision.template) is not None:
        return None
    body = owned(agent, SERVICE_ACCOUNT, companion_name(agent.metadata.name))
    return body | {"automountServiceAccountToken": False}


def config_map(agent: Agent, revision: Revision) -> Manifest | None:
    """The config of a revision as files; None without config. Unless reloaded, it never changes."""
    if not revision.mounts_config:
        return None
    config = agent.spec.config if revision.in_place else revision.config
    if not config:
        return None
    body = owned(agent, CONFIG_MAP, config_map_name(agent.metadata.name, revision))
    if not revision.in_place:
        body["metadata"]["labels"] = revision_labels(agent, revision)
        body["immutable"] = True
    return body | {"data": dict(config)}


def controller_revision(agent: Agent, revision: Revision, number: int) -> Manifest:
    """The record of what the revision is; `number` orders the revisions in time."""
    name = revision_name(agent.metadata.name, revision.hash)
    body = owned(agent, CONTROLLER_REVISION, name)
    body["metadata"]["labels"] = revision_labels(agent, revision)
    return body | {"revision": number, "data": dict(revision.data)}


def replica_set(agent: Agent, revision: Revision) -> Manifest:
    """The pods of one revision; how many is decided elsewhere.

    Raises:
        TemplateConflict: the template contradicts the Agent's spec.
    """
    name = agent.metadata.name
    body = owned(agent, REPLICA_SET, revision_name(name, revision.hash))
    body["metadata"]["labels"] = revision_labels(agent, revision)
    selector = own_label(agent) | {REVISION_LABEL: revision.hash}
    return body | {
        "spec": {
            "selector": {"matchLabels": selector},
            "template": pod_template(agent, revision),
        }
    }


def baseline(agent: Agent, revision: Revision) -> Manifest:
    """Fresh pods of a revision, behind the same Service as its others, and told from them.

    The ReplicaSet of the others asks for fewer labels and does not mind: these have an owner.

    Raises:
        TemplateConflict: the template contradicts the Agent's spec.
    """
    body = replica_set(agent, revision)
    body["metadata"]["name"] = baseline_name(agent.metadata.name, revision.hash)
    spec = body["spec"]
    for labels_of in (
        body["metadata"]["labels"],
        spec["selector"]["matchLabels"],
        spec["template"]["metadata"]["labels"],
    ):
        labels_of[BASELINE_LABEL] = BASELINE
    return body


def disruption_budget(agent: Agent) -> Manifest | None:
    """At most one pod at a time is evicted; None for a single pod, which could never be moved."""
    if agent.spec.replicas < 2:
        return None
    body = owned(agent, DISRUPTION_BUDGET, companion_name(agent.metadata.name))
    return body | {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": own_label(agent)}}}


def owned(agent: Agent, kind: Kind, name: str) -> Manifest:
    """What all children have: name, labels, and the Agent they go with."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": agent.metadata.namespace,
            "labels": labels(agent),
            "ownerReferences": [owner(agent)],
        },
    }


def owner(agent: Agent) -> Manifest:
    """The Agent as that with which its children go."""
    return {
        "apiVersion": WORKLOADS[agent.KIND].api_version,
        "kind": agent.KIND,
        "name": agent.metadata.name,
        "uid": agent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
