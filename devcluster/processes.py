"""The processes of a local cluster: which programs, with which flags, in which order.

Pure: from a layout to components and the text of their configuration files. Client limits are far
above the defaults, because at 20 requests a second the controllers, not what is tested, would be
measured. etcd does not wait for the disk: nothing in here is worth keeping.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from devcluster.component import Component, Mount, Probe
from devcluster.layout import (
    BIN,
    NODE_ADDRESS,
    POD_NETWORK,
    ROOT,
    SERVICE_NETWORK,
    Layout,
)

PAUSE_IMAGE = "localhost/agentherd/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PROXY_HEALTH = "/run/proxy.sock"
CNI_PLUGINS = "/usr/lib/cni"
OWN_DIRECTORIES = ("/var/lib/kubelet", "/var/lib/cni")
CLIENT_RATE = 500
CLIENT_BURST = 1000
AUDIT_MEGABYTES = 64
"""Size of the audit log, of which one former one is kept."""


def normal_components(layout: Layout, doors: Mapping[int, int]) -> tuple[Component, ...]:
    """All of a node and its control plane; `doors` maps ports to file descriptors."""
    return (
        *control_plane(layout, doors, audit=True),
        containerd(layout),
        kubelet(layout),
        kube_proxy(layout),
        coredns(layout),
    )


def scale_components(
    layout: Layout, doors: Mapping[int, int], *, stages: Path, audit: bool = False
) -> tuple[Component, ...]:
    """A control plane whose nodes and pods kwok pretends."""
    return (*control_plane(layout, doors, audit=audit), kwok(layout, stages))


def control_plane(
    layout: Layout, doors: Mapping[int, int], *, audit: bool
) -> tuple[Component, ...]:
    """What both kinds of clusters have."""
    return (
        etcd(layout),
        kube_apiserver(layout, audit=audit),
        kube_controller_manager(layout),
        kube_scheduler(layout),
        proxy(doors),
    )


def mounts(layout: Layout) -> tuple[Mount, ...]:
    """Directories that programs insist on, kept below the state directory or in memory."""
    here = layout.state / "node"
    targets = () if layout.scale else ("/var/log", *OWN_DIRECTORIES)
    kept = (Mount(str(here / target[1:].replace("/", "-")), target) for target in targets)
    return (Mount("", "/run"), *kept)


def etcd(layout: Layout) -> Component:
    """The store."""
    return Component(
        name="etcd",
        argv=(
            str(BIN / "etcd"),
            f"--data-dir={layout.state / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--listen-metrics-urls=http://127.0.0.1:2381",
            "--unsafe-no-fsync",
            "--quota-backend-bytes=8589934592",
            "--log-level=warn",
        ),
        probe=Probe(url="http://127.0.0.1:2381/health"),
    )


def kube_apiserver(layout: Layout, *, audit: bool) -> Component:
    """The API server; the same port inside and outside, so one kubeconfig serves both."""
    pki = layout.pki
    port = layout.api.number
    audit_flags = (
        f"--audit-policy-file={layout.config / 'audit.yaml'}",
        f"--audit-log-path={layout.logs / 'audit.jsonl'}",
        # A request does not wait for its line.
        "--audit-log-mode=batch",
        f"--audit-log-maxsize={AUDIT_MEGABYTES}",
        "--audit-log-maxbackup=1",
    )
    return Component(
        name="kube-apiserver",
        argv=(
            str(BIN / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=0.0.0.0",
            f"--secure-port={port}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            # Some clusters let only those block the deletion of an owner who may change it.
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            "--allow-privileged=true",
            f"--client-ca-file={pki / 'ca.crt'}",
            *_serving(layout),
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
            "--max-requests-inflight=1600",
            "--max-mutating-requests-inflight=800",
            *(audit_flags if audit else ()),
        ),
        # A quarter of its time went into collecting garbage, most of it while little was in use.
        env={"GOGC": "400", "GOMEMLIMIT": "2GiB"},
        probe=Probe(url=f"https://127.0.0.1:{port}/readyz"),
        after=("etcd",),
    )


def kube_controller_manager(layout: Layout) -> Component:
    """The controllers."""
    pki = layout.pki
    return Component(
        name="kube-controller-manager",
        argv=(
            str(BIN / "kube-controller-manager"),
            *_kubeconfigs(layout, "controller-manager"),
            *_serving(layout),
            "--bind-address=127.0.0.1",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            "--use-service-account-credentials=true",
            # Endpoints are written for old clients beside each EndpointSlice; there are none here.
            "--controllers=*,-endpoints-controller,-endpointslice-mirroring-controller",
            f"--flex-volume-plugin-dir={layout.state / 'node' / 'volume-plugins'}",
            "--leader-elect=false",
            f"--kube-api-qps={CLIENT_RATE}",
            f"--kube-api-burst={CLIENT_BURST}",
        ),
        probe=Probe(url="https://127.0.0.1:10257/healthz"),
        after=("kube-apiserver",),
    )


def kube_scheduler(layout: Layout) -> Component:
    """The scheduler."""
    return Component(
        name="kube-scheduler",
        argv=(
            str(BIN / "kube-scheduler"),
            f"--config={layout.config / 'scheduler.yaml'}",
            f"--authentication-kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
            f"--authorization-kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
            *_serving(layout),
            "--bind-address=127.0.0.1",
        ),
        probe=Probe(url="https://127.0.0.1:10259/healthz"),
        after=("kube-apiserver",),
    )


def proxy(doors: Mapping[int, int]) -> Component:
    """The way in from the machine's own loopback."""
    return Component(
        name="proxy",
        argv=(
            sys.executable,
            "-m",
            "devcluster.proxy",
            PROXY_HEALTH,
            *(f"{descriptor}:{port}" for port, descriptor in doors.items()),
        ),
        probe=Probe(socket=PROXY_HEALTH),
        env={"PYTHONPATH": str(ROOT)},
        inherits=tuple(doors.values()),
    )


def containerd(layout: Layout) -> Component:
    """The container runtime."""
    return Component(
        name="containerd",
        argv=(str(BIN / "containerd"), f"--config={layout.config / 'containerd.toml'}"),
        # It looks for its shim on PATH.
        env={"PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        probe=Probe(socket=CONTAINERD_SOCKET),
    )


def kubelet(layout: Layout) -> Component:
    """The node."""
    return Component(
        name="kubelet",
        argv=(
            str(BIN / "kubelet"),
            f"--config={layout.config / 'kubelet.yaml'}",
            f"--kubeconfig={layout.pki / 'kubelet.kubeconfig'}",
            f"--hostname-override={layout.name}",
            f"--node-ip={NODE_ADDRESS}",
        ),
        probe=Probe(url="http://127.0.0.1:10248/healthz"),
        after=("kube-apiserver", "containerd"),
    )


def kube_proxy(layout: Layout) -> Component:
    """Services."""
    return Component(
        name="kube-proxy",
        argv=(
            str(BIN / "kube-proxy"),
            f"--config={layout.config / 'kube-proxy.yaml'}",
            f"--hostname-override={layout.name}",
        ),
        # /livez: /healthz waits for the Node, which the kubelet makes a moment later.
        probe=Probe(url="http://127.0.0.1:10256/livez"),
        after=("kube-apiserver",),
    )


def coredns(layout: Layout) -> Component:
    """Names of Services and pods."""
    return Component(
        name="coredns",
        argv=(str(BIN / "coredns"), f"-conf={layout.config / 'Corefile'}"),
        probe=Probe(url="http://127.0.0.1:8182/ready"),
        after=("kube-apiserver",),
    )


def kwok(layout: Layout, stages: Path) -> Component:
    """Fake nodes and pods; the stages are the ones that kwok ships for speed."""
    files = (
        *sorted((stages / "node" / "fast").glob("node-*.yaml")),
        *sorted((stages / "node" / "heartbeat").glob("node-*.yaml")),
        *sorted((stages / "pod" / "fast").glob("pod-*.yaml")),
    )
    return Component(
        name="kwok",
        argv=(
            str(BIN / "kwok"),
            f"--kubeconfig={layout.pki / 'admin.kubeconfig'}",
            "--manage-all-nodes=true",
            f"--cidr={POD_NETWORK}",
            f"--node-ip={NODE_ADDRESS}",
            "--node-lease-duration-seconds=40",
            "--server-address=127.0.0.1:10247",
            f"--config={layout.config / 'kwok.yaml'}",
            *(f"--config={file}" for file in files),
        ),
        probe=Probe(url="http://127.0.0.1:10247/healthz"),
        after=("kube-apiserver",),
    )


def _serving(layout: Layout) -> tuple[str, str]:
    return (
        f"--tls-cert-file={layout.pki / 'server.crt'}",
        f"--tls-private-key-file={layout.pki / 'server.key'}",
    )


def _kubeconfigs(layout: Layout, client: str) -> tuple[str, ...]:
    file = layout.pki / f"{client}.kubeconfig"
    kinds = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return tuple(f"--{kind}={file}" for kind in kinds)
