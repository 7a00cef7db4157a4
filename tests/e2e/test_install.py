"""What is installed is taken by the API server, works from inside it, and goes without a trace.

A release here serves a namespace of its own, since an operator for the whole cluster would do the
work of those of the other tests.
"""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
import yaml
from tests.e2e.cluster import Cluster, Object
from tests.e2e.sample import agent, template
from tests.e2e.world import World, condition_status
from tests.installing.argo import health
from tests.installing.kstatus import kstatus
from tests.installing.rendering import (
    CHART,
    VALUE_SETS,
    chart_text,
    kustomization_text,
    objects,
    program,
    run,
)

RELEASE = "agentherd"
HALF_A_MEGABYTE = 512 * 1024
"""Of the one that fits into a Secret."""

LEFT = (
    "agents,deployments,poddisruptionbudgets,roles,rolebindings,secrets,serviceaccounts,"
    "configmaps,leases"
)

WAITS = {"canary": {"steps": [{"weight": 50, "pause": {}}]}, "scaleDownDelaySeconds": 0}


def kubectl(cluster: Cluster, *words: str, text: str | None = None) -> str:
    return run(program("kubectl"), f"--kubeconfig={cluster.kubeconfig}", *words, text=text)


def created(cluster: Cluster, namespace: str, manifest: Object) -> Object:
    """As it is in the first answer, before anybody has looked at it."""
    metadata = {**manifest["metadata"], "namespace": namespace}
    return cluster.create("Agent", {**manifest, "metadata": metadata})


def tried(cluster: Cluster, namespace: str, found: list[Object]) -> int:
    """How many of the objects the API server would take, each of its kind as if in `namespace`."""
    for each in found:
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = namespace
        if each["kind"] == "Pod":  # one is refused while its account has only been tried as well
            each["spec"]["serviceAccountName"] = "default"
    distinct = {json.dumps(each, sort_keys=True): each for each in found}
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o=name", "-f=-")
    # JSON, as Python's YAML does not quote what is a number to others, such as 1e3.
    everything = {"apiVersion": "v1", "kind": "List", "items": [*distinct.values()]}
    answer = kubectl(cluster, *words, text=json.dumps(everything))
    return len(answer.splitlines()) - len(distinct)


def test_the_api_server_takes_each_value_set(cluster: Cluster, namespace: str) -> None:
    """With all fields known and every expression understood."""
    found = [
        each
        for values in VALUE_SETS
        for each in objects(chart_text(values=values, namespace=namespace)).values()
        if each["kind"] != "CustomResourceDefinition" or values.stem == "defaults-values"
    ]

    assert tried(cluster, namespace, found) == 0


@pytest.mark.parametrize("path", ["manifests/overlays/ha", "manifests/overlays/namespaced"])
def test_the_api_server_takes_each_overlay(cluster: Cluster, namespace: str, path: str) -> None:
    """The base is in both."""
    found = [
        each
        for each in yaml.safe_load_all(kustomization_text(path))
        if each["kind"] != "CustomResourceDefinition"
    ]

    assert tried(cluster, namespace, found) == 0


def test_the_api_server_takes_each_sample(cluster: Cluster, namespace: str) -> None:
    """By the schemas and rules as they are installed."""
    found = list(yaml.safe_load_all(kustomization_text("manifests/samples")))
    for each in found:
        each["metadata"]["namespace"] = namespace

    assert tried(cluster, namespace, found) == 0


def test_tools_that_wait_see_how_agents_are(world: World) -> None:
    """Argo CD by its script and Flux by kstatus, on objects as the API server gives them."""
    new = created(world.cluster, world.namespace, agent("a", replicas=2, upgradePolicy=WAITS))
    world.apply(agent("asleep", operatingMode="Suspended"))
    world.apply(agent("broken", template=template(image="localhost/agentherd/nowhere:dev")))
    up = world.wait_until_ready("a")
    asleep = world.wait_until_ready("asleep")
    broken = world.wait_for_phase("broken", "Error")
    changed = world.change("a", version="2.0.0")
    waits = world.wait_upgrade("a-2", "Paused")
    on_its_way = world.wait_for_condition("a", "Reconciling", "True")
    world.patch("AgentUpgrade", "a-2", {"spec": {"rollback": {"requested": True}}})
    back = world.wait_for_condition("a", "Stalled", "True")
    undone = world.wait_upgrade("a-2", "RolledBack")

    seen = [new, up, asleep, broken, changed, waits, on_its_way, back, undone]
    found = zip((health(each)[0] for each in seen), (s for s, _ in kstatus(seen)), strict=True)

    assert list(found) == [
        ("Progressing", "InProgress"),
        ("Healthy", "Current"),
        ("Suspended", "Current"),
        ("Degraded", "InProgress"),
        ("Progressing", "InProgress"),
        ("Suspended", "InProgress"),
        ("Progressing", "InProgress"),
        ("Degraded", "Failed"),
        ("Degraded", "Failed"),
    ]


def test_a_release_runs_an_agent_and_leaves_it_when_it_goes(
    cluster: Cluster, namespace: str
) -> None:
    """Installed as a tenant, tried by `helm test`, and uninstalled while an Agent runs."""

    def helm(*words: str) -> str:
        return run(program("helm"), f"--kubeconfig={cluster.kubeconfig}", f"-n={namespace}", *words)

    own = (
        "--values",
        str(CHART / "ci/tenants-values.yaml"),
        "--set",
        f"namespaces={{{namespace}}}",
    )
    helm("install", RELEASE, str(CHART), *own, "--wait", "--timeout=120s")
    said = helm("test", RELEASE, "--timeout=120s")
    stored = kubectl(
        cluster, "get", "secret", "-n", namespace, "-l=owner=helm", "-o=jsonpath={..data.release}"
    )
    created(cluster, namespace, agent("a"))
    cluster.wait_until(
        "Agent",
        "a",
        lambda each: each is not None and condition_status(each, "Ready") == "True",
        within=60,
        namespace=namespace,
    )
    helm("uninstall", RELEASE, "--wait", "--timeout=60s")

    assert "Phase:          Succeeded" in said
    assert len(b64decode(stored)) < HALF_A_MEGABYTE
    left = kubectl(cluster, "get", LEFT, "-n", namespace, "-o=name").split()
    assert [each for each in left if "/kube-root-ca" not in each] == [
        "agent.agentherd.dev/a",
        "serviceaccount/agentherd-a",
        "serviceaccount/default",
    ]
    own = "agentherd.dev/agent=a"  # those of the operator are on their way out
    (pod,) = cluster.moment("Pod", namespace=namespace, labels=own).items
    assert condition_status(pod, "Ready") == "True"
