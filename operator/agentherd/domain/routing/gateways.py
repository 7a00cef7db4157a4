"""What Gateways can do beyond what all of them can, as far as they say.

A Gateway need not understand a filter of a route, and what it does with a rule that has one it does
not understand is its own affair: some drop the whole rule. So a filter is written only for Gateways
whose class lists the feature. That nothing can be read of them counts as no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentherd.api import Agent, AgentUpgrade, ModelDeployment, RouteProtocol, Step, Traffic
from agentherd.domain.faults import Fault
from agentherd.domain.kinds import Key
from agentherd.domain.reasons import Reason

MIRROR: Final = "HTTPRouteRequestMirror"
PERCENTAGE_MIRROR: Final = "HTTPRouteRequestPercentageMirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenGateways:
    """The class of each Gateway and the features of each class.

    Names of features are those of the Gateway API, as in `status.supportedFeatures`. It is `known`
    once the API server has answered, also with a refusal, of which `unread` tells.
    """

    classes: Mapping[Key, str] = field(default_factory=dict)
    features: Mapping[str, frozenset[str]] = field(default_factory=dict)
    known: bool = False
    unread: str = ""


def class_of(raw: Mapping[str, Any]) -> str:
    """The name of the class of a Gateway."""
    name: str = raw.get("spec", {}).get("gatewayClassName", "")
    return name


def features_of(raw: Mapping[str, Any]) -> frozenset[str]:
    """The features that a GatewayClass lists; older versions of the API have bare names."""
    listed = raw.get("status", {}).get("supportedFeatures") or ()
    return frozenset(each["name"] if isinstance(each, Mapping) else each for each in listed)


def mirrors(subject: Agent | AgentUpgrade | ModelDeployment) -> bool:
    """Whether copies of requests are asked for."""
    steps: tuple[Step, ...] = ()
    if isinstance(subject, AgentUpgrade):
        policy = subject.spec.strategy
        if subject.status.strategy is not None:
            steps = subject.status.strategy.steps
    else:
        policy = subject.spec.upgrade_policy
    if isinstance(subject, ModelDeployment) and subject.spec.canary is not None:
        steps += subject.spec.canary.steps or ()
    if policy is not None and policy.canary is not None:
        steps += policy.canary.steps or ()
    return any(step.mirror for step in steps)


def mirror_fault(
    gateways: SeenGateways, agent: Key, traffic: Traffic | None, percent: int
) -> Fault | None:
    """Why no copies of `percent` of an Agent's requests are made, and what to do; or None."""
    if not percent:
        return None
    if traffic is None or not traffic.parent_refs or traffic.protocol is not RouteProtocol.HTTP:
        return Fault(
            Reason.NOT_SUPPORTED,
            f"mirror: {percent} needs spec.traffic of the Agent with parentRefs and protocol HTTP, "
            "because the operator has copies made in no other route; set it, or leave "
            "mirror out of the upgrade's spec.strategy",
        )
    if not gateways.known:
        return Fault(Reason.WAITING_FOR_TRAFFIC, "Gateways have not been read yet")
    feature = MIRROR if percent == 100 else PERCENTAGE_MIRROR
    for parent in traffic.parent_refs:
        gateway = Key(parent.namespace or agent.namespace, parent.name)
        if lack := _lack(gateways, gateway, feature):
            remedy = "leave it out of the upgrade's spec.strategy, or use a Gateway that can do it"
            return Fault(Reason.NOT_SUPPORTED, f"mirror: {percent}: {lack}; {remedy}")
    return None


def _lack(gateways: SeenGateways, gateway: Key, feature: str) -> str | None:
    if gateways.unread:
        return f"whether Gateway {gateway} can do {feature} is not known: {gateways.unread}"
    name = gateways.classes.get(gateway)
    if name is None:
        return f"Gateway {gateway} does not exist"
    features = gateways.features.get(name)
    if features is None:
        return f"GatewayClass {name} of Gateway {gateway} does not exist"
    if feature not in features:
        return f"GatewayClass {name} of Gateway {gateway} does not list the feature {feature}"
    return None
