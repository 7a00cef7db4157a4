"""A namespace with an operator of its own, for a run that is not a test of pytest's."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml
from devcluster.progress import Progress
from devcluster.providers import find
from tests.e2e.cluster import Cluster, Object
from tests.e2e.operator_process import ROOT, Operator
from tests.e2e.world import World, condition_status

CRDS: Final = ROOT / "crds"
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


class Disturbed(Exception):
    """An operator serves the whole cluster and would do the work of the one that is looked at."""


@contextmanager
def place() -> Iterator[tuple[World, Path]]:
    """A world that is removed afterwards, and a directory for the generator's files."""
    kubeconfig = find(Progress()).kubeconfig
    cluster = Cluster(str(kubeconfig) if kubeconfig else None)
    name = f"long-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        _prepare(cluster)
        cluster.create("Namespace", {"metadata": {"name": name, "labels": RESTRICTED}})
        operator = Operator(
            namespace=name, kubeconfig=cluster.kubeconfig, log=place / "operator.log"
        )
        try:
            operator.start()
            yield World(cluster, namespace=name, operator=operator), place
            operator.stop()
        finally:
            if operator.running:
                operator.kill()
            cluster.delete("Namespace", name)
            cluster.close()


def _prepare(cluster: Cluster) -> None:
    installed = cluster.get("Deployment", "agentherd", namespace="agentherd")
    if installed and installed["spec"]["replicas"] and not _keeps_to_a_namespace(installed):
        raise Disturbed(
            "scale the Deployment agentherd to 0, or use `python -m tests.e2e.undisturbed`"
        )
    for file in sorted(CRDS.glob("agentherd.dev_*.yaml")):
        manifest = yaml.safe_load(file.read_text())
        cluster.apply(manifest, manager="e2e", force=True)
        cluster.wait_until(
            "CustomResourceDefinition",
            manifest["metadata"]["name"],
            lambda crd: crd is not None and condition_status(crd, "Established") == "True",
            within=30,
        )


def _keeps_to_a_namespace(installed: Object) -> bool:
    """Whether an operator serves a namespace of its own and nobody else's."""
    (container,) = installed["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value") for each in container.get("env", ())}
    return bool(given.get("AGENTHERD_NAMESPACE"))
