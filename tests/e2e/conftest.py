"""A cluster for the session, and for every test a namespace with an operator of its own.

The cluster is the one of `make cluster-up`. Where there is none, every test fails with one
sentence, since a suite that skips what it was asked for looks like one that passes.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3
import yaml
from tests.e2e import identity
from tests.e2e.cluster import Cluster, Object
from tests.e2e.operator_process import ROOT
from tests.e2e.sample import IMAGE
from tests.e2e.world import World, condition_status, governed

CRDS: Final = ROOT / "crds"
FOR_PEOPLE: Final = tuple(
    ROOT / "manifests/base" / name
    for name in ("agent-roles.yaml", "approval-policies.yaml", "template-policies.yaml")
)
"""What people may do, and what they are refused."""

SESSION_LABEL: Final = "agentherd.dev/e2e-session"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The development cluster with the CRDs as they are in the tree, and the sample's image."""
    found = Cluster(_kubeconfig())
    try:
        with _alone(tmp_path_factory):
            _prepare(found)
    except urllib3.exceptions.HTTPError as error:
        pytest.fail(f"no cluster answers; run `make cluster-up` ({error})", pytrace=False)
    file = tmp_path_factory.mktemp("operator") / "kubeconfig"
    found.operator_kubeconfig = str(identity.write_kubeconfig(found, file))
    yield found
    found.close()


@pytest.fixture(scope="session")
def namespaces(cluster: Cluster) -> Iterator[str]:
    """The label of this session's namespaces; at its end it is waited until they are gone."""
    session = secrets.token_hex(4)
    yield session
    cluster.wait_until_all(
        "Namespace", lambda left: not left, within=120, labels=f"{SESSION_LABEL}={session}"
    )


@pytest.fixture
def namespace(cluster: Cluster, namespaces: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty namespace that enforces the restricted Pod Security Standard."""
    with _namespace(cluster, session=namespaces, title=request.node.name) as name:
        yield name


@pytest.fixture
def world(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[World]:
    """A namespace with an operator that is ready; at the end it has to stop in order."""
    kubeconfig, log = cluster.operator_kubeconfig, tmp_path / "operator.log"
    with governed(cluster, namespace=namespace, kubeconfig=kubeconfig, log=log) as found:
        yield found


@pytest.fixture(scope="module")
def shared_namespace(
    cluster: Cluster, namespaces: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """One such namespace for all tests of a file."""
    title = request.node.path.stem
    with _namespace(cluster, session=namespaces, title=title) as name:
        yield name


@pytest.fixture(scope="module")
def shared_world(
    cluster: Cluster, shared_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One world for all tests of a file, for those that keep to Agents of their own."""
    kubeconfig, log = (
        cluster.operator_kubeconfig,
        tmp_path_factory.mktemp("shared") / "operator.log",
    )
    with governed(cluster, namespace=shared_namespace, kubeconfig=kubeconfig, log=log) as found:
        yield found


@contextmanager
def _namespace(cluster: Cluster, *, session: str, title: str) -> Iterator[str]:
    words = re.sub("[^a-z0-9]+", "-", title.removeprefix("test_").lower())
    name = f"e2e-{words[:48].strip('-')}-{secrets.token_hex(3)}"
    labels = {SESSION_LABEL: session, "pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create("Namespace", {"metadata": {"name": name, "labels": labels}})
    try:
        yield name
    finally:
        cluster.delete("Namespace", name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, Any, Any]:
    """Show what was there, and what the operator said, when a test fails."""
    report: Any = yield
    given = getattr(item, "funcargs", {})
    world = given.get("world") or given.get("shared_world")
    if report.failed and isinstance(world, World):
        if call.when == "call":
            report.sections.append(("what is there", world.describe()))
        report.sections.append(("operator", world.operator.last_words()))
    return report


def _kubeconfig() -> str | None:
    """Path of the cluster's kubeconfig; None means the one kubectl would choose."""
    if os.environ.get("USE_CURRENT_CONTEXT") == "1":
        return os.environ.get("KUBECONFIG")
    answer = subprocess.run(
        [sys.executable, "-m", "devcluster", "kubeconfig"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode or not Path(answer.stdout.strip()).exists():
        reason = answer.stderr.strip() or "it has not been started"
        pytest.fail(f"there is no cluster; run `make cluster-up` ({reason})", pytrace=False)
    return answer.stdout.strip()


@contextmanager
def _alone(factory: pytest.TempPathFactory) -> Iterator[None]:
    """One worker at a time."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(cluster: Cluster) -> None:
    """Apply what belongs to the whole cluster, and see that nothing stands in the way.

    Doing it twice changes nothing.
    """
    installed = cluster.get("Deployment", "agentherd", namespace="agentherd")
    if installed and installed["spec"]["replicas"]:
        pytest.fail("an installed operator would do the tests' work; scale it to 0", pytrace=False)
    for file in sorted(CRDS.glob("agentherd.dev_*.yaml")):
        manifest: Object = yaml.safe_load(file.read_text())
        cluster.apply(manifest, manager="e2e", force=True)
        cluster.wait_until(
            "CustomResourceDefinition",
            manifest["metadata"]["name"],
            lambda crd: crd is not None and condition_status(crd, "Established") == "True",
            within=30,
        )
    for file in FOR_PEOPLE:
        for manifest in yaml.safe_load_all(file.read_text()):
            cluster.apply(manifest, manager="e2e", force=True)
    identity.prepare(cluster)
    try:
        cluster.wait_until_all("Node", lambda nodes: any(map(_has_image, nodes)), within=30)
    except AssertionError:
        pytest.fail(f"no node has the image {IMAGE}; run `make image`", pytrace=False)


def _has_image(node: Object) -> bool:
    images = node.get("status", {}).get("images", ())
    return any(IMAGE in (image.get("names") or ()) for image in images)
