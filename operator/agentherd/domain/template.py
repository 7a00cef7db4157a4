"""From the template a person wrote to the pods that run.

The template is an ordinary pod template and stays what it is; health, drain and config of the
Agent are added to it. Where both want to set the same thing there is no good guess, so it is
refused with what to do instead of one silently winning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentherd.api import Agent, Drain, Health
from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.kinds import (
    GROUP,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    REVISION_LABEL,
    TRAFFIC_LABEL,
    TRAFFIC_ON,
    WORKLOAD_LABELS,
    WORKLOAD_WORDS,
    companion_name,
    revision_name,
)
from agentherd.domain.revision import Revision

CONFIG_DIR: Final = "/etc/agentherd/config"
CONFIG_VOLUME: Final = "agentherd-config"

STARTUP_SECONDS: Final = 600
"""How long a container may take until its first successful probe, before it is restarted."""

PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")

_LISTS: Final = ("env", "ports", "volumeMounts")


def check(template: Mapping[str, Any]) -> None:
    """Check that pods and the Service before them can be made, as far as it is known here.

    Raises:
        InvalidTemplate: it has another shape, or two ports of one name, which containers of a pod
            may have and a Service may not.
    """
    check_shape(template)
    names = Counter(port["name"] for port in _service_ports(template["spec"]["containers"]))
    if twice := [name for name, count in names.items() if count > 1]:
        raise InvalidTemplate(
            f"spec.template: two container ports are named {twice[0]}, and the Service needs a "
            "name of its own for each; rename one of them"
        )


def check_shape(template: Mapping[str, Any]) -> None:
    """Check the shape of what is read here; the API server judges all the rest.

    Raises:
        InvalidTemplate: something else stands where a list of objects, an object or a name belongs.
    """
    pod, metadata = template.get("spec"), template.get("metadata") or {}
    if not isinstance(pod, Mapping):
        raise InvalidTemplate("spec.template.spec must be an object")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("labels") or {}, Mapping):
        raise InvalidTemplate("spec.template.metadata and its labels must be objects")
    _objects(pod.get("containers"), "spec.containers")
    if not pod.get("containers"):
        raise InvalidTemplate("spec.template.spec.containers must have a container")
    _objects(pod.get("volumes"), "spec.volumes")
    for number, container in enumerate(pod["containers"]):
        _check_container(container, f"spec.containers[{number}]")


def _check_container(container: Mapping[str, Any], where: str) -> None:
    if not container.get("name"):
        raise InvalidTemplate(f"spec.template.{where} must have a name")
    _strings(container, where, "name")
    for field in _LISTS:
        _objects(container.get(field), f"{where}.{field}")
    for port in container.get("ports") or ():
        _strings(port, f"{where}.ports", "name", "protocol")
    for variable in container.get("env") or ():
        _strings(variable, f"{where}.env", "name")
    _object(container.get("lifecycle"), f"{where}.lifecycle")
    for kind in PROBES:
        _object(probe := container.get(kind) or {}, f"{where}.{kind}")
        _object(asked := probe.get("httpGet") or {}, f"{where}.{kind}.httpGet")
        if asked.get("path") is not None:
            _strings(asked, f"{where}.{kind}.httpGet", "path")


def _strings(holder: Mapping[str, Any], where: str, *fields: str) -> None:
    for field in fields:
        if not isinstance(holder.get(field, ""), str):
            raise InvalidTemplate(f"spec.template.{where}: {field} must be a string")


def _object(value: object, where: str) -> None:
    if not isinstance(value or {}, Mapping):
        raise InvalidTemplate(f"spec.template.{where} must be an object")


def _objects(value: object, where: str) -> None:
    whole = isinstance(value or [], list)
    if not whole or not all(isinstance(item, Mapping) for item in value or []):  # type: ignore[attr-defined]
        raise InvalidTemplate(f"spec.template.{where} must be a list of objects")


def own_label(agent: Agent) -> dict[str, str]:
    """The label by which everything that belongs to an Agent, or a ModelDeployment, is found."""
    return {WORKLOAD_LABELS[agent.KIND]: agent.metadata.name}


def labels(agent: Agent) -> dict[str, str]:
    """The labels of every child of an Agent."""
    return own_label(agent) | {
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/name": agent.metadata.name,
    }


def revision_labels(agent: Agent, revision: Revision) -> dict[str, str]:
    """The labels of what belongs to one revision. A label cannot hold the + of build metadata."""
    found = labels(agent) | {REVISION_LABEL: revision.hash}
    if revision.version:
        found["app.kubernetes.io/version"] = revision.version.replace("+", "_")
    return found


def config_map_name(agent: str, revision: Revision) -> str:
    """The ConfigMap that the pods of `revision` mount."""
    return companion_name(agent) if revision.in_place else revision_name(agent, revision.hash)


def pod_template(agent: Agent, revision: Revision) -> dict[str, Any]:
    """The pod template of the revision's ReplicaSet.

    Raises:
        TemplateConflict: the template sets what another field of the spec sets as well.
    """
    written = revision.template
    metadata = dict(written.get("metadata") or {})
    theirs = metadata.get("labels") or {}
    metadata["labels"] = {
        # With labels of ours the pods would be taken for those of another workload, or for fresh
        # ones of the stable version, which nobody judges.
        **{label: theirs[label] for label in theirs if label.partition("/")[0] != GROUP},
        **revision_labels(agent, revision),
        TRAFFIC_LABEL: TRAFFIC_ON,
    }
    pod = dict(written["spec"])
    name = agent.metadata.name
    pod["serviceAccountName"] = named_account(written) or companion_name(name)
    containers = [dict(container) for container in pod["containers"]]
    _add_environment(containers, agent, revision)
    if revision.mounts_config:
        _mount_config(pod, containers, config_map_name(name, revision))
    if revision.health is not None:
        _add_probes(containers[0], revision.health)
    if revision.drain is not None:
        _add_drain(pod, containers, revision.drain)
    pod["containers"] = containers
    return {"metadata": metadata, "spec": pod}


def named_account(template: Mapping[str, Any]) -> str | None:
    """The ServiceAccount that a template names, by whichever of its two fields, or None.

    The API server takes an empty name for that of the namespace's own account.
    """
    pod = template["spec"]
    name: str | None = pod.get("serviceAccountName") or pod.get("serviceAccount")
    return name or None


def container_ports(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Service ports of a template, as written: one for each distinct containerPort.

    One with a name leads to the port of that name, which may have another number in other pods
    behind the same Service. A template that is malformed has none; that it is so is told by
    `check`.
    """
    try:
        check(template)
    except InvalidTemplate:
        return []
    return _service_ports(template["spec"]["containers"])


def _service_ports(containers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    ports: dict[tuple[int, str], dict[str, Any]] = {}
    for container in containers:
        for port in container.get("ports") or ():
            number, protocol = port.get("containerPort"), port.get("protocol", "TCP")
            if not isinstance(number, int):
                continue
            ports.setdefault(
                (number, protocol),
                {
                    "name": port.get("name") or f"{protocol.lower()}-{number}",
                    "port": number,
                    "protocol": protocol,
                    "targetPort": port.get("name") or number,
                },
            )
    return list(ports.values())


def probed_port(template: Mapping[str, Any], port: int | str) -> int | None:
    """The number of a port that probes name, which is one of the first container."""
    if isinstance(port, int):
        return port
    ports = template["spec"]["containers"][0].get("ports") or ()
    number = next((p.get("containerPort") for p in ports if p.get("name") == port), None)
    return number if isinstance(number, int) else None


def probed_paths(template: Mapping[str, Any]) -> set[str]:
    """The paths that the probes of the containers ask for by HTTP."""
    containers = template.get("spec", {}).get("containers") or ()
    probes = (c.get(kind) for c in containers for kind in PROBES)
    return {p["httpGet"].get("path") or "/" for p in probes if p and p.get("httpGet")}


def _add_environment(containers: list[dict[str, Any]], agent: Agent, revision: Revision) -> None:
    ours = [
        {"name": f"AGENTHERD_{WORKLOAD_WORDS[agent.KIND]}", "value": agent.metadata.name},
        {"name": "AGENTHERD_REVISION", "value": revision.hash},
        {"name": "AGENTHERD_VERSION", "value": revision.version or ""},
    ]
    if revision.mounts_config:
        ours.append({"name": "AGENTHERD_CONFIG_DIR", "value": CONFIG_DIR})
    if (model := revision.model) is not None:
        address = f"http://{model.name}.{agent.metadata.namespace}.svc:{model.port}"
        ours.append({"name": "AGENTHERD_MODEL_URL", "value": address})
    names = {variable["name"] for variable in ours}
    for container in containers:
        theirs = container.get("env") or []
        if taken := names & {variable.get("name") for variable in theirs}:
            raise TemplateConflict(
                f"container {container['name']} sets {min(taken)}, which the operator sets; "
                "remove it from spec.template"
            )
        container["env"] = [*ours, *theirs]


def _mount_config(pod: dict[str, Any], containers: list[dict[str, Any]], config_map: str) -> None:
    volumes = pod.get("volumes") or []
    if any(volume.get("name") == CONFIG_VOLUME for volume in volumes):
        raise TemplateConflict(
            f"spec.template has a volume {CONFIG_VOLUME}, which spec.config needs; rename it"
        )
    pod["volumes"] = [*volumes, {"name": CONFIG_VOLUME, "configMap": {"name": config_map}}]
    mount = {"name": CONFIG_VOLUME, "mountPath": CONFIG_DIR, "readOnly": True}
    for container in containers:
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def _add_probes(container: dict[str, Any], health: Health) -> None:
    """Readiness at the interval of the spec, after a start that is watched every second.

    Without the startup probe an agent that is up after two seconds would be found ready only at
    the second look of its readiness probe, half a minute later.
    """
    for probe in ("readinessProbe", "startupProbe"):
        if probe in container:
            raise TemplateConflict(
                f"container {container['name']} has a {probe} and spec.health wants to write it; "
                "remove one of the two"
            )
    check = {
        "httpGet": {"path": health.http.path, "port": health.http.port, "scheme": "HTTP"},
        "timeoutSeconds": health.timeout_seconds,
    }
    container["readinessProbe"] = check | {
        "periodSeconds": health.interval_seconds,
        "failureThreshold": health.failure_threshold,
    }
    container["startupProbe"] = check | {"periodSeconds": 1, "failureThreshold": STARTUP_SECONDS}


def _add_drain(pod: dict[str, Any], containers: list[dict[str, Any]], drain: Drain) -> None:
    """Time between leaving the endpoints and SIGTERM, and from there to SIGKILL."""
    delay = drain.delay_seconds
    if "terminationGracePeriodSeconds" in pod:
        raise TemplateConflict(
            "spec.template sets terminationGracePeriodSeconds, which spec.drain sets; "
            "remove one of the two"
        )
    pod["terminationGracePeriodSeconds"] = drain.timeout_seconds + delay
    if not delay:
        return
    for container in containers:
        lifecycle = container.get("lifecycle") or {}
        if "preStop" in lifecycle:
            raise TemplateConflict(
                f"container {container['name']} has a preStop hook and spec.drain.delaySeconds "
                "needs it; remove one of the two"
            )
        container["lifecycle"] = {**lifecycle, "preStop": {"sleep": {"seconds": delay}}}
