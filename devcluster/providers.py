"""The three origins of a cluster, and all in which they differ.

The cluster of the current context comes first, when asked for; then kind, where a Docker engine
answers; then processes of this machine. Each says where its kubeconfig and Gateway are and how an
image gets into it. Whatever is not in here is the same for all.
"""

from __future__ import annotations

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from devcluster import addons, images, network, toolchain
from devcluster.command import run, succeeds, wait_until
from devcluster.errors import ClusterError, NothingPossible
from devcluster.images import Image
from devcluster.kubectl import Kubectl
from devcluster.layout import BIN, SOURCES, Layout, normal, scale
from devcluster.local import LocalCluster
from devcluster.progress import Progress


class Origin(StrEnum):
    """Where the cluster comes from."""

    CURRENT = "current context"
    KIND = "kind"
    LOCAL = "local"


@dataclass(frozen=True)
class Machine:
    """What the choice depends on."""

    use_current_context: bool
    docker: bool
    linux: bool
    root: bool


class Provider(ABC):
    """A cluster that can be started, reached and given images."""

    origin: Origin

    def __init__(self, layout: Layout, progress: Progress) -> None:
        self.layout = layout
        self.progress = progress

    @property
    def kubeconfig(self) -> Path | None:
        """The file to use; none means what kubectl would choose itself."""
        return self.layout.kubeconfig

    @property
    @abstractmethod
    def gateway(self) -> str:
        """Where the Gateway answers, as seen from this machine."""

    @property
    def enter(self) -> tuple[str, ...]:
        """The words that run a command where the cluster's addresses can be reached."""
        return ()

    @abstractmethod
    def kubectl(self) -> Kubectl:
        """kubectl for this cluster."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether there is nothing to start."""

    @abstractmethod
    def start(self) -> None:
        """Have an API server that answers and a node that takes images."""

    @abstractmethod
    def cluster_images(self) -> list[Image]:
        """The images that the cluster itself needs to be given."""

    @abstractmethod
    def load(self, image: Image) -> None:
        """Give the cluster an image."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until the nodes are Ready."""

    def define_gateway_api(self) -> None:
        """Have the definitions of the Gateway API, of the version that belongs to this tree."""
        addons.apply_gateway_api(self.kubectl(), self.progress)

    @abstractmethod
    def stop(self) -> None:
        """Leave nothing behind, and say so."""

    def complete(self) -> None:
        """Note that this start reached its end."""
        self.layout.state.mkdir(parents=True, exist_ok=True)
        self.layout.complete.touch()

    def await_nodes(self) -> None:
        """Wait until there is a node and every node is Ready."""
        kubectl = self.kubectl()
        wait_until(lambda: bool(kubectl.get("nodes")["items"]), what="there is a node", seconds=60)
        kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=90s")


class Local(Provider):
    """Processes of this machine."""

    origin = Origin.LOCAL

    def __init__(self, layout: Layout, progress: Progress) -> None:
        super().__init__(layout, progress)
        self._cluster = LocalCluster(layout, progress)

    @property
    def gateway(self) -> str:
        """A door of the network namespace."""
        return f"http://127.0.0.1:{self.layout.gateway.number}" if self.layout.gateway else ""

    @property
    def enter(self) -> tuple[str, ...]:
        """Into the network namespace."""
        return network.enter_argv(self.layout)

    def kubectl(self) -> Kubectl:
        """The one built with the cluster, so that the versions agree."""
        return Kubectl(str(BIN / "kubectl"), self.kubeconfig)

    def is_up(self) -> bool:
        """Also through the door."""
        return self._cluster.is_up() and self.kubectl().answers()

    def start(self) -> None:
        """Start the guard and wait for what all else needs."""
        self._cluster.start()

    def cluster_images(self) -> list[Image]:
        """No registry can be asked, so it gets all that it runs."""
        return [images.pause(self.progress), images.traefik(self.progress)]

    def load(self, image: Image) -> None:
        """Straight into containerd."""
        self._cluster.load(image.path, reference=image.reference, version=image.version)

    def settle(self) -> None:
        """Every component, and the node unless it is fake."""
        self._cluster.await_components()
        if not self.layout.scale:
            self.await_nodes()

    def stop(self) -> None:
        """Processes, mounts, namespaces, cgroups, files."""
        self._cluster.stop()
        self.progress.say("nothing is left")


class Kind(Provider):
    """A node in a container of a Docker engine."""

    origin = Origin.KIND

    @property
    def gateway(self) -> str:
        """A port that kind maps to the node's."""
        return f"http://127.0.0.1:{self.layout.gateway.number}" if self.layout.gateway else ""

    def kubectl(self) -> Kubectl:
        """The one of the machine if there is one, as building it takes minutes."""
        return Kubectl(any_kubectl(self.progress), self.kubeconfig)

    def is_up(self) -> bool:
        """Whether the cluster exists and answers."""
        return self.layout.complete.exists() and self.kubectl().answers()

    def start(self) -> None:
        """Create the cluster, after the rest of one that does not answer."""
        for tool in toolchain.KIND_TOOLS:
            toolchain.build(tool, self.progress)
        if self.layout.name in self._kind("get", "clusters").split():
            self.stop()
        self.layout.state.mkdir(parents=True, exist_ok=True)
        config = self.layout.state / "kind.yaml"
        config.write_text(kind_configuration(self.layout))
        with self.progress.step("creating the kind cluster"):
            self._kind(
                *("create", "cluster", f"--name={self.layout.name}", f"--config={config}"),
                *(f"--kubeconfig={self.layout.kubeconfig}", "--wait=120s"),
            )

    def cluster_images(self) -> list[Image]:
        """Pause and DNS are in the node's image, and the rest can be pulled."""
        return []

    def load(self, image: Image) -> None:
        """Through kind."""
        with self.progress.step(f"loading {image.reference}"):
            self._kind("load", "image-archive", str(image.path), f"--name={self.layout.name}")

    def settle(self) -> None:
        """The node."""
        self.await_nodes()

    def stop(self) -> None:
        """Delete the cluster and what we know of it."""
        toolchain.build(toolchain.KIND, self.progress)
        self._kind("delete", "cluster", f"--name={self.layout.name}")
        shutil.rmtree(self.layout.state, ignore_errors=True)
        self.progress.say("nothing is left")

    def _kind(self, *words: str) -> str:
        return run([BIN / "kind", *words])


class Current(Provider):
    """A cluster of the user's own, which is neither created nor removed."""

    origin = Origin.CURRENT

    @property
    def kubeconfig(self) -> Path | None:
        """KUBECONFIG or the default, as kubectl reads it."""
        return None

    @property
    def gateway(self) -> str:
        """The port of Traefik on the first node; AGENTHERD_GATEWAY says where else it answers."""
        if given := os.environ.get("AGENTHERD_GATEWAY"):
            return given
        nodes = self.kubectl().get("nodes")["items"]
        addresses = [a for node in nodes for a in node["status"]["addresses"]]
        inside = [a["address"] for a in addresses if a["type"] == "InternalIP"]
        return f"http://{inside[0]}:8000"

    def kubectl(self) -> Kubectl:
        """The user's own, with the plugins that their kubeconfig may need."""
        return Kubectl(any_kubectl(self.progress))

    def is_up(self) -> bool:
        """Add-ons are applied every time, as nobody else noted them."""
        return False

    def start(self) -> None:
        """Only look whether it answers."""
        if not self.kubectl().answers():
            raise ClusterError("the cluster of the current context does not answer")

    def cluster_images(self) -> list[Image]:
        """It can pull them."""
        return []

    def define_gateway_api(self) -> None:
        """Only where there are none: others of the cluster may depend on those that it has."""
        if addons.has_gateway_api(self.kubectl()):
            self.progress.say("the cluster has definitions of the Gateway API; they stay")
        else:
            super().define_gateway_api()

    def load(self, image: Image) -> None:
        """Possible for the clusters of kind; others are looked at whether they have it."""
        context = self.kubectl()("config", "current-context").strip()
        if context.startswith("kind-"):
            toolchain.build(toolchain.KIND, self.progress)
            name = context.removeprefix("kind-")
            run([BIN / "kind", "load", "image-archive", image.path, f"--name={name}"])
        elif missing := nodes_without(image.reference, self.kubectl().get("nodes")["items"]):
            raise ClusterError(
                f"node {missing[0]} of context {context} does not have {image.reference}: import "
                f"{image.path} on every node, for example with `minikube image load` or "
                "`ctr --namespace=k8s.io images import`, and try again"
            )
        else:
            self.progress.say(f"the nodes have {image.reference}, as they were given it")

    def settle(self) -> None:
        """The nodes are the user's business."""

    def complete(self) -> None:
        """Nothing: the next start looks again."""

    def stop(self) -> None:
        """Remove what was added to it; the cluster is not ours to remove."""
        addons.remove_gateway(self.kubectl())
        self.progress.say(
            "the Gateway of the development cluster is gone; your cluster, its definitions of the "
            "Gateway API and what you or the demo installed stay"
        )


def nodes_without(reference: str, nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the nodes that do not tell of an image in `status.images`."""

    def names(node: Mapping[str, Any]) -> set[str]:
        return {name for image in node["status"].get("images", ()) for name in image["names"]}

    return [node["metadata"]["name"] for node in nodes if reference not in names(node)]


def choose(machine: Machine) -> Origin:
    """The first origin that is possible; NothingPossible says what would make one so."""
    if machine.use_current_context:
        return Origin.CURRENT
    if machine.docker:
        return Origin.KIND
    if machine.linux and machine.root:
        return Origin.LOCAL
    who = "run as root" if machine.linux else "use Linux"
    raise NothingPossible(
        "No cluster is possible here: start Docker, or set USE_CURRENT_CONTEXT=1 to use the "
        f"cluster of your kubeconfig, or {who} for a cluster of this machine's own processes."
    )


def look(environment: Mapping[str, str] = os.environ) -> Machine:
    """What this machine offers."""
    return Machine(
        use_current_context=environment.get("USE_CURRENT_CONTEXT", "") not in ("", "0"),
        docker=succeeds(["docker", "info"], timeout=5),
        linux=sys.platform == "linux",
        root=os.geteuid() == 0,
    )


def find(progress: Progress, *, for_scale: bool = False) -> Provider:
    """The provider for this machine. Fake nodes are always local: kind would not be faster."""
    machine = look()
    if for_scale:
        if not (machine.linux and machine.root):
            raise NothingPossible("The cluster for scale runs needs Linux and root.")
        return Local(scale(), progress)
    kinds: dict[Origin, type[Provider]] = {
        Origin.CURRENT: Current,
        Origin.KIND: Kind,
        Origin.LOCAL: Local,
    }
    return kinds[choose(machine)](normal(), progress)


def any_kubectl(progress: Progress) -> str:
    """kubectl from PATH, or built if there is none."""
    if found := shutil.which("kubectl"):
        return found
    toolchain.build(toolchain.KUBERNETES, progress)
    return str(BIN / "kubectl")


def kind_configuration(layout: Layout) -> str:
    """kind.yaml with the port in place."""
    port = layout.gateway.number if layout.gateway else 0
    return (SOURCES / "kind.yaml").read_text().replace("GATEWAY_PORT", str(port))
