"""The chart and the plain manifests install the same objects.

Helm renders the chart, kubectl the kustomization; a test is skipped only where the program has
not been built yet (`make cluster-up` does it).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
CHART = REPOSITORY / "helm/agentherd"
INSTALL = REPOSITORY / "manifests/install.yaml"
DEFINITIONS = (
    "agents.agentherd.dev",
    "agentupgrades.agentherd.dev",
    "modeldeployments.agentherd.dev",
)

Object = dict[str, Any]
Objects = dict[tuple[str, str, str], Object]
Render = Callable[..., Objects]


def program(name: str) -> str:
    path = REPOSITORY / ".cache/bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not built yet; `make cluster-up` does it")
    return str(path)


def run(*words: str) -> str:
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def objects(text: str) -> Objects:
    found = [document for document in yaml.safe_load_all(text) if document]
    return {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in found
    }


def without_labels(thing: Any) -> Any:
    """Labels name the tool and the release, and the selector follows them."""
    if isinstance(thing, dict):
        return {k: without_labels(v) for k, v in thing.items() if k not in {"labels", "selector"}}
    return [without_labels(item) for item in thing] if isinstance(thing, list) else thing


@pytest.fixture
def render() -> Render:
    helm = program("helm")

    def render(*settings: str, release: str = "agentherd", namespace: str = "agentherd") -> Objects:
        words = [word for setting in settings for word in ("--set", setting)]
        place = ("--namespace", namespace, "--kube-version", "1.36.0")
        return objects(run(helm, "template", release, str(CHART), *place, *words))

    return render


def test_the_chart_passes_strict_linting() -> None:
    """No warning of Helm is left."""
    run(program("helm"), "lint", "--strict", str(CHART))


def test_the_chart_makes_the_objects_of_the_manifests(render: Render) -> None:
    """Both ways to install differ in labels and in the namespace, which Helm makes itself."""
    chart = render("crds.keep=false")

    plain = objects(INSTALL.read_text(encoding="utf-8"))
    del plain["Namespace", "", "agentherd"]
    assert without_labels(chart) == without_labels(plain)


def test_kubectl_makes_the_same_of_the_kustomization() -> None:
    """install.yaml is put together without kubectl, and is what kubectl would have made."""
    rendered = objects(run(program("kubectl"), "kustomize", str(REPOSITORY / "manifests/base")))

    assert rendered == objects(INSTALL.read_text(encoding="utf-8"))


def test_pods_are_selected_by_labels_they_have(render: Render) -> None:
    """A selector that matches nothing is refused by the API server only."""
    deployment = render()["Deployment", "agentherd", "agentherd"]

    wanted = deployment["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_hosts_that_may_be_asked_reach_the_operator(render: Render) -> None:
    """One option for each."""
    deployment = render("metricHosts={*.monitoring.svc,judge}")[
        "Deployment", "agentherd", "agentherd"
    ]

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"--metric-host=*.monitoring.svc", "--metric-host=judge"} <= set(container["args"])


def test_named_namespaces_need_no_right_in_the_cluster(render: Render) -> None:
    """A Role in each of them, and the operator is told to serve only these."""
    less = ("rbac.aggregate=false", "crds.enabled=false", "approval.policies=false")
    chart = render("namespaces={red,blue}", *less)

    assert not [kind for kind, place, _ in chart if not place]
    # Gateways and their classes are nobody's namespace; that they cannot be read is told.
    whole = [
        rule
        for rule in render()["ClusterRole", "", "agentherd"]["rules"]
        if "gatewayclasses" not in rule["resources"]
    ]
    for namespace in ("red", "blue"):
        assert chart["Role", namespace, "agentherd"]["rules"] == whole
        subject = chart["RoleBinding", namespace, "agentherd"]["subjects"][0]
        assert subject["namespace"] == "agentherd"
    container = chart["Deployment", "agentherd", "agentherd"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert {"--namespace=red", "--namespace=blue"} <= set(container["args"])


def test_two_releases_do_not_share_a_name(render: Render) -> None:
    """Objects of the cluster carry the namespace of the release, and so do not collide."""
    first = render(release="one", namespace="a")
    second = render(release="one", namespace="b")

    shared = {key for key in first if not key[1]} & {key for key in second if not key[1]}
    assert shared == {("CustomResourceDefinition", "", name) for name in DEFINITIONS}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_kept_by_default(render: Render, name: str) -> None:
    """An uninstall must not take every Agent with it."""
    definition = render()["CustomResourceDefinition", "", name]

    assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_an_unknown_value_is_refused() -> None:
    """A misspelt setting is told instead of being ignored."""
    helm = program("helm")
    answer = subprocess.run(
        [helm, "template", "x", str(CHART), "--kube-version", "1.36.0", "--set", "replica=2"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode != 0
    assert "replica" in answer.stderr
