"""What a Kubernetes of any origin gets on top: Gateway API and its data plane, or fake nodes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from devcluster.command import wait_until
from devcluster.kubectl import Kubectl
from devcluster.layout import SOURCES
from devcluster.progress import Progress
from devcluster.toolchain import gateway_api_crds

FAKE_NODES = 10
PODS_PER_FAKE_NODE = 1000


GATEWAY_API = "crd/gateways.gateway.networking.k8s.io"


def apply_gateway_api(kubectl: Kubectl, progress: Progress) -> None:
    """The definitions of the Gateway API."""
    kubectl.apply_directory(gateway_api_crds(progress))
    # Discovery of kubectl knows a new kind a moment later than the API server.
    kubectl("wait", "--for=condition=Established", GATEWAY_API)


def has_gateway_api(kubectl: Kubectl) -> bool:
    """Whether there are definitions of the Gateway API, of any version."""
    return bool(kubectl("get", GATEWAY_API, "--ignore-not-found", "-o", "name").strip())


def apply_gateway(kubectl: Kubectl, *, image: str) -> None:
    """Traefik with the Gateway `agentherd` that takes routes of all namespaces."""
    kubectl.apply(traefik_manifests(image))


def remove_gateway(kubectl: Kubectl) -> None:
    """Remove what `apply_gateway` has made; the definitions of its kinds stay."""
    kubectl.delete(traefik_manifests("any"))


def traefik_manifests(image: str) -> str:
    """The manifests with the image in place."""
    return (SOURCES / "manifests" / "traefik.yaml").read_text().replace("TRAEFIK_IMAGE", image)


def await_gateway(kubectl: Kubectl, *, address: str, seconds: float) -> None:
    """Wait until Traefik runs, has accepted the Gateway and answers at its address."""
    within = f"--timeout={seconds:.0f}s"
    in_namespace = ("--namespace=agentherd-gateway", within)
    kubectl("rollout", "status", "deployment/traefik", *in_namespace, timeout=seconds + 5)
    kubectl("wait", "--for=condition=Programmed", "gateway/agentherd", *in_namespace)
    wait_until(lambda: answers(address), what=f"the Gateway answers at {address}", seconds=seconds)


def answers(address: str) -> bool:
    """Whether something speaks HTTP there; without a route Traefik answers 404."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(address, timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False
    return True


def apply_fake_nodes(kubectl: Kubectl) -> None:
    """Create the nodes that kwok keeps alive, and wait until they are Ready."""
    nodes = [fake_node(f"fake-{number}") for number in range(FAKE_NODES)]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")


def fake_node(name: str) -> dict[str, Any]:
    """A node as kwok takes it; the status tells the scheduler how much fits."""
    room = {"cpu": "1000", "memory": "4Ti", "pods": str(PODS_PER_FAKE_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "type": "kwok",
            },
        },
        "status": {"allocatable": room, "capacity": room},
    }
