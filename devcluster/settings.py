"""The configuration files of the components, from a layout to their text.

Apart from `processes`, whose flags refer to these files by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from devcluster.layout import DNS_DOMAIN, NODE_ADDRESS, POD_NETWORK, Layout
from devcluster.processes import (
    CLIENT_BURST,
    CLIENT_RATE,
    CNI_PLUGINS,
    CONTAINERD_SOCKET,
    PAUSE_IMAGE,
)


def files(layout: Layout, *, snapshotter: str = "overlayfs") -> dict[str, str]:
    """Text by path, relative to the layout's config directory."""
    return {
        "scheduler.yaml": _yaml(scheduler(layout)),
        "kubelet.yaml": _yaml(kubelet(layout)),
        "kube-proxy.yaml": _yaml(kube_proxy(layout)),
        "kwok.yaml": _yaml(kwok()),
        "audit.yaml": _yaml(audit(layout)),
        "Corefile": corefile(layout),
        "containerd.toml": containerd(layout, snapshotter=snapshotter),
        "cni/10-agentherd.conflist": json.dumps(cni(), indent=2),
    }


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)


def _client(layout: Layout, name: str) -> dict[str, Any]:
    kubeconfig = str(layout.pki / f"{name}.kubeconfig")
    return {"kubeconfig": kubeconfig, "qps": CLIENT_RATE, "burst": CLIENT_BURST}


def scheduler(layout: Layout) -> dict[str, Any]:
    """The scheduler's."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": _client(layout, "scheduler"),
        "leaderElection": {"leaderElect": False},
    }


def kubelet(layout: Layout) -> dict[str, Any]:
    """The kubelet's: no limits that the machine's own load could reach, images never collected."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "server.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "server.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "volumePluginDir": str(layout.state / "node" / "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "failCgroupV1": False,
        # Nobody's programs shall be killed before those of a development cluster.
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDomain": DNS_DOMAIN,
        "clusterDNS": [NODE_ADDRESS],
        "resolvConf": "",
        "maxPods": 200,
        "podCIDR": POD_NETWORK,
        "kubeAPIQPS": CLIENT_RATE,
        "kubeAPIBurst": CLIENT_BURST,
        "eventRecordQPS": CLIENT_RATE,
        "eventBurst": CLIENT_BURST,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def kube_proxy(layout: Layout) -> dict[str, Any]:
    """kube-proxy's: conntrack limits are the machine's and stay as they are."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "oomScoreAdj": 0,
        "clusterCIDR": POD_NETWORK,
        "detectLocalMode": "ClusterCIDR",
        "clientConnection": _client(layout, "kube-proxy"),
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    }


def kwok() -> dict[str, Any]:
    """kwok's: enough workers that it is not what a scale run measures."""
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "nodePlayStageParallelism": 8,
            "podPlayStageParallelism": 32,
            "nodeLeaseParallelism": 8,
        },
    }


def audit(layout: Layout) -> dict[str, Any]:
    """Who did what, without the contents: service accounts, or all where measurements ask for it.

    Operators are service accounts, and what they do is held against their roles.
    """
    everybody: dict[str, Any] = {"level": "Metadata"}
    accounts = {**everybody, "userGroups": ["system:serviceaccounts"]}
    # Those of the controllers ask for more than all others together.
    controllers = {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [everybody] if layout.scale else [controllers, accounts, {"level": "None"}],
    }


def corefile(layout: Layout) -> str:
    """CoreDNS's; names outside of the cluster have no answer, as there is no way out."""
    return f"""\
.:53 {{
    bind {NODE_ADDRESS}
    errors
    ready 127.0.0.1:8182
    kubernetes {DNS_DOMAIN} in-addr.arpa {{
        kubeconfig {layout.pki / "coredns.kubeconfig"}
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def containerd(layout: Layout, *, snapshotter: str) -> str:
    """containerd's."""
    return f"""\
version = 3
root = "{layout.state / "containerd"}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{CNI_PLUGINS}"]
    conf_dir = "{layout.config / "cni"}"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def cni() -> dict[str, Any]:
    """Pods on routed pairs of interfaces.

    Not on a bridge: replies between two pods of one bridge bypass the node's translation of
    Service addresses unless the machine has br_netfilter.
    """
    return {
        "cniVersion": "1.0.0",
        "name": "agentherd",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": POD_NETWORK}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
