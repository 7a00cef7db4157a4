"""Where everything of a cluster is: names, files, addresses, ports.

Two clusters can run side by side: the normal one and the one for scale runs. They share the
binaries and differ in their state directory, network namespace and loopback ports. The addresses
inside may be the same, because no packet leaves a namespace but through its loopback ports.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
BIN = CACHE / "bin"
IMAGES = CACHE / "images"
SOURCES = ROOT / "devcluster"

NODE_ADDRESS = "10.88.0.1"
NODE_NETWORK = "10.88.0.0/24"
POD_NETWORK = "10.89.0.0/16"
SERVICE_NETWORK = "10.90.0.0/16"
KUBERNETES_SERVICE = "10.90.0.1"
DNS_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Port:
    """A loopback port and the variable that moves it."""

    number: int
    variable: str


@dataclass(frozen=True)
class Layout:
    """One cluster: `name` is its network namespace, its node and its cgroup."""

    name: str
    state: Path
    api: Port
    gateway: Port | None

    @property
    def scale(self) -> bool:
        """Whether its nodes are fake."""
        return self.gateway is None

    @property
    def namespace(self) -> Path:
        """The file that holds the network namespace."""
        return Path("/run/netns") / self.name

    @property
    def kubeconfig(self) -> Path:
        """Credentials of an administrator; works inside and outside of the network namespace."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file for each component."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the kubeconfig of each component."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the components."""
        return self.state / "config"

    @property
    def plan(self) -> Path:
        """What the guard shall run."""
        return self.state / "guard.json"

    @property
    def report(self) -> Path:
        """What the guard says about its components."""
        return self.state / "components.json"

    @property
    def complete(self) -> Path:
        """Exists once everything was ready; without it a start was interrupted."""
        return self.state / "complete"

    @property
    def loaded(self) -> Path:
        """Which version of which image the cluster has."""
        return self.state / "loaded.json"

    @property
    def kernel_settings(self) -> Path:
        """Settings of the machine as they were before the kubelet changed them."""
        return self.state / "kernel.json"


def _port(environment: Mapping[str, str], variable: str, default: int) -> Port:
    return Port(int(environment.get(variable) or default), variable)


def normal(environment: Mapping[str, str] = os.environ) -> Layout:
    """The cluster for the demo and the tests."""
    return Layout(
        name="agentherd",
        state=CACHE / "cluster",
        api=_port(environment, "AGENTHERD_API_PORT", 16443),
        gateway=_port(environment, "AGENTHERD_GATEWAY_PORT", 8000),
    )


def scale(environment: Mapping[str, str] = os.environ) -> Layout:
    """The cluster for scale runs: a control plane and fake nodes."""
    return Layout(
        name="agentherd-scale",
        state=CACHE / "cluster-scale",
        api=_port(environment, "AGENTHERD_SCALE_API_PORT", 16444),
        gateway=None,
    )
