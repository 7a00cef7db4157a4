"""Who the operators of the tests are: a ServiceAccount with the roles that are installed.

What a role does not grant is refused to them as it would be in a cluster of people's, so a verb
that is missing fails a test by itself; one that nobody uses is found by `python -m tests.audit`.
The rules are those of the whole cluster, bound once for all namespaces of the tests.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import client, config
from tests.e2e.cluster import Cluster, Object
from tests.e2e.operator_process import ROOT

NAME: Final = "agentherd"
NAMESPACE: Final = "agentherd-e2e"
USER: Final = f"system:serviceaccount:{NAMESPACE}:{NAME}"
ROLES: Final = tuple(
    ROOT / "manifests/base" / name for name in ("cluster-role.yaml", "lease-role.yaml")
)
HOURS: Final = 4
WITHIN: Final = 15.0

_RBAC: Final = "rbac.authorization.k8s.io"


def prepare(cluster: Cluster) -> None:
    """Make the ServiceAccount and wait until it may do what its roles say; twice changes nothing.

    Raises:
        AssertionError: it may not within 15 s.
    """
    for manifest in _manifests():
        cluster.apply(manifest, manager="e2e", force=True)
    end = time.monotonic() + WITHIN
    while not _may(cluster, _rules()[-1]):
        assert time.monotonic() < end, f"{USER} has no rights after {WITHIN} s"
        time.sleep(0.1)


def write_kubeconfig(cluster: Cluster, file: Path) -> Path:
    """A kubeconfig with which to be that ServiceAccount, for longer than any suite lasts."""
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token"
    request = {"spec": {"expirationSeconds": HOURS * 3600}}
    token = cluster.send("POST", account, body=request)["status"]["token"]
    chosen: Any = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=cluster.kubeconfig, client_configuration=chosen
    )
    server: Object = {"server": chosen.host}
    if chosen.ssl_ca_cert:
        # The client keeps it in a file only for as long as it runs itself.
        authority = Path(chosen.ssl_ca_cert).read_bytes()
        server["certificate-authority-data"] = b64encode(authority).decode()
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": server}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }
    file.write_text(json.dumps(written))
    return file


def _rules() -> list[Object]:
    return [rule for role in ROLES for rule in yaml.safe_load(role.read_text())["rules"]]


def _manifests() -> list[Object]:
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAMESPACE}
    account = {"name": NAME, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAMESPACE},
            "rules": _rules(),
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAMESPACE},
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def _may(cluster: Cluster, rule: Object) -> bool:
    asked = {
        "group": rule["apiGroups"][0],
        "resource": rule["resources"][0],
        "verb": rule["verbs"][-1],
        "name": next(iter(rule.get("resourceNames", ())), ""),
        "namespace": "default",
    }
    review = {"spec": {"user": USER, "resourceAttributes": asked}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(cluster.send("POST", path, body=review)["status"]["allowed"])
