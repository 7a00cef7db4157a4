"""The chart makes what its values say, and the same objects as the plain manifests."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests.values import rows_of
from tests.installing.rendering import (
    CHART,
    ROOT,
    VALUE_SETS,
    Object,
    Objects,
    Refused,
    chart,
    chart_text,
    is_hook,
    kustomization,
    objects,
    program,
    run,
    without_labels,
)

INSTALL = ROOT / "manifests/install.yaml"
DEFINITIONS = (
    "agents.agentherd.dev",
    "agentupgrades.agentherd.dev",
    "modeldeployments.agentherd.dev",
)
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
BARE = re.compile(r"(?m)(?:[:-] |\[)(?:\d+e\d+|123|456|on|off|yes|0x10|1_000|2001-01-01)(?:[],]|$)")
"""What Helm and the API server do not read as a string where nothing quotes it."""
SECRET_LIMIT = 1024 * 1024
"""Bytes that the API server takes in a Secret, in which Helm keeps a release."""


def deployment(found: Objects) -> Object:
    (only,) = (each for each in found.values() if each["kind"] == "Deployment")
    return only


def pod(found: Objects) -> Any:
    return deployment(found)["spec"]["template"]["spec"]


def container(found: Objects) -> Any:
    (only,) = pod(found)["containers"]
    return only


def paths(values: Any, defaults: Any, path: str = "") -> Iterator[str]:
    """The paths of what is set, as deep as the defaults have blocks of settings."""
    if isinstance(defaults, dict) and defaults and path != ".resources":
        for name, value in values.items():
            yield from paths(value, defaults[name], f"{path}.{name}")
    else:
        yield path


def settings_in(schema: Any, defaults: Any, path: str = "") -> Iterator[str]:
    """The same of what a schema knows."""
    if isinstance(defaults, dict) and defaults and path != ".resources":
        assert schema["additionalProperties"] is False, path
        for name, inner in schema["properties"].items():
            if name != "global":  # Helm's own
                yield from settings_in(inner, defaults[name], f"{path}.{name}")
    else:
        yield path


def test_the_chart_passes_strict_linting() -> None:
    """No warning of Helm is left."""
    run(program("helm"), "lint", "--strict", CHART)


def test_the_chart_makes_the_objects_of_the_manifests() -> None:
    """Both ways to install differ in labels and in the namespace, which Helm makes itself."""
    plain = objects(INSTALL.read_text(encoding="utf-8"))
    del plain["Namespace", "", "agentherd"]

    assert without_labels(chart("crds.keep=false")) == without_labels(plain)


def test_kubectl_makes_the_same_of_the_kustomization() -> None:
    """install.yaml is put together without kubectl, and is what kubectl would have made."""
    assert kustomization("manifests/base") == objects(INSTALL.read_text(encoding="utf-8"))


def test_pods_are_selected_by_labels_they_have() -> None:
    """A selector that matches nothing is refused by the API server only, or not at all."""
    found = chart()
    labels = deployment(found)["spec"]["template"]["metadata"]["labels"]

    selectors = [
        deployment(found)["spec"]["selector"],
        found["PodDisruptionBudget", "agentherd", "agentherd"]["spec"]["selector"],
        *(each["labelSelector"] for each in pod(found)["topologySpreadConstraints"]),
    ]

    assert all(each["matchLabels"].items() <= labels.items() for each in selectors)


def test_the_pods_of_a_test_are_selected_by_nothing_of_the_operator() -> None:
    """One that ran long would count as a process in the PodDisruptionBudget."""
    selector = deployment(chart())["spec"]["selector"]["matchLabels"]
    hooks = [each for each in objects(chart_text()).values() if is_hook(each)]

    assert hooks
    for hook in hooks:
        assert not selector.items() <= hook["metadata"].get("labels", {}).items()


def test_one_process_has_no_budget() -> None:
    """It would say nothing: maxUnavailable lets the only one go."""
    kinds = {kind for kind, _, _ in chart("replicas=1")}

    assert "PodDisruptionBudget" not in kinds


def test_hosts_that_may_be_asked_reach_the_operator() -> None:
    """One option for each."""
    args = container(chart("metricHosts={*.monitoring.svc,judge}"))["args"]

    assert {"--metric-host=*.monitoring.svc", "--metric-host=judge"} <= set(args)


def test_a_digest_stands_above_the_tag() -> None:
    """Who pins an image by its content gets that content."""
    digest = f"sha256:{'0' * 64}"

    image = container(chart("image.tag=1.2.3", f"image.digest={digest}"))["image"]

    assert image == f"localhost/agentherd/operator@{digest}"


def test_labels_for_all_are_on_all_but_the_definitions() -> None:
    """Those of the definitions belong to every release, and so to none."""
    found = chart("commonLabels.team=herders")

    without = {each["kind"] for each in found.values() if "team" not in each["metadata"]["labels"]}
    assert without == {"CustomResourceDefinition"}
    assert deployment(found)["spec"]["template"]["metadata"]["labels"]["team"] == "herders"


def test_labels_for_some_stand_above_those_for_all() -> None:
    """A label that is given twice is there once; also an empty one is given."""
    found = chart(values=CHART / "ci/repeated-labels-values.yaml")

    labels = deployment(found)["spec"]["template"]["metadata"]["labels"]
    assert labels["example.com/team"] == "shepherds"
    assert labels["example.com/tier"] == ""
    assert deployment(found)["metadata"]["labels"]["example.com/team"] == "herders"


def test_a_selector_that_selects_all_is_left_alone() -> None:
    """It is not the same as none."""
    (spread,) = pod(chart(values=CHART / "ci/repeated-labels-values.yaml"))[
        "topologySpreadConstraints"
    ]

    assert spread["labelSelector"] == {}


@pytest.mark.parametrize("where", ["commonLabels", "podLabels", "monitoring.labels"])
def test_labels_of_the_chart_are_not_for_others_to_set(where: str) -> None:
    """Pods would be lost to their Deployment, and roles be handed to everybody."""
    with pytest.raises(Refused, match=re.escape("app.kubernetes.io/instance")):
        chart(f"{where}.app\\.kubernetes\\.io/instance=x")


def test_every_label_that_the_chart_sets_is_refused() -> None:
    """Of all objects but the definitions, with all that can be switched on."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    refused = schema["definitions"]["labels"]["propertyNames"]["not"]["enum"]
    found = chart("monitoring.dashboard=true", "networkPolicy.enabled=true")

    labels = {label for each in found.values() for label in each["metadata"].get("labels", {})}
    assert labels == set(refused)


def test_named_namespaces_need_no_right_in_the_cluster() -> None:
    """A Role in each of them, and the operator is told to serve only these."""
    policies = ("approval.policies=false", "templates.policies=false")
    less = ("rbac.aggregate=false", "crds.enabled=false", *policies)
    found = chart("namespaces={red,blue}", *less)

    assert not [kind for kind, place, _ in found if not place]
    # Gateways and their classes are nobody's namespace; that they cannot be read is told.
    whole = [
        rule
        for rule in chart()["ClusterRole", "", "agentherd"]["rules"]
        if "gatewayclasses" not in rule["resources"]
    ]
    for namespace in ("red", "blue"):
        assert found["Role", namespace, "agentherd"]["rules"] == whole
        subject = found["RoleBinding", namespace, "agentherd"]["subjects"][0]
        assert subject["namespace"] == "agentherd"
    assert {"--namespace=red", "--namespace=blue"} <= set(container(found)["args"])


def test_a_string_stays_one_whatever_it_looks_like() -> None:
    """An API server refuses a number where it wants a name, and a label that is true."""
    values = CHART / "ci/look-alikes-values.yaml"
    given = yaml.safe_load(values.read_text(encoding="utf-8"))
    text = chart_text(values=values, release="1e3", namespace="on")
    found = objects(text)
    made, process = found["Deployment", "on", "123"], container(found)
    labels = made["spec"]["template"]["metadata"]["labels"]

    assert BARE.findall(text) == []
    assert given["commonLabels"].items() | given["podLabels"].items() <= labels.items()
    assert made["metadata"]["annotations"] == given["deploymentAnnotations"]
    for option, wanted in (("namespace", "namespaces"), ("metric-host", "metricHosts")):
        assert {f"--{option}={each}" for each in given[wanted]} <= set(process["args"])
    assert f"--traces-to={given['tracesTo']}" in process["args"]
    assert process["env"][-2:] == given["extraEnv"]
    assert pod(found)["nodeSelector"] == given["nodeSelector"]


def test_the_operator_may_serve_the_namespace_it_runs_in() -> None:
    """The role for its Lease and the role for the Agents are then in one namespace."""
    found = chart(values=CHART / "ci/served-by-its-own-values.yaml")

    for name, leases in (("agentherd", False), ("agentherd-lease", True)):
        rules = found["Role", "agentherd", name]["rules"]
        assert found["RoleBinding", "agentherd", name]["roleRef"]["name"] == name
        assert all((rule["resources"] == ["leases"]) is leases for rule in rules)


def test_two_releases_do_not_share_a_name() -> None:
    """Objects of the cluster carry the namespace of the release, and so do not collide."""
    first = chart(release="one", namespace="a")
    second = chart(release="one", namespace="b")

    shared = {key for key in first if not key[1]} & {key for key in second if not key[1]}
    assert shared == {("CustomResourceDefinition", "", name) for name in DEFINITIONS}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_kept_by_default(name: str) -> None:
    """An uninstall must not take every Agent with it."""
    definition = chart()["CustomResourceDefinition", "", name]

    assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_release_with_its_definitions_fits_into_a_secret() -> None:
    """Helm keeps chart and manifests in one; half of the limit is left for what is to come."""
    files = [path for path in CHART.rglob("*") if path.is_file() and "/ci/" not in str(path)]
    release = {
        "manifest": chart_text(),
        "chart": {path.name: base64.b64encode(path.read_bytes()).decode("ascii") for path in files},
    }

    stored = base64.b64encode(gzip.compress(json.dumps(release).encode()))

    assert len(stored) < SECRET_LIMIT / 2


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)
def test_each_value_set_is_rendered(values: Path) -> None:
    """Twenty ways to install, of which no object is there twice."""
    found = chart(values=values)

    assert container(found)["securityContext"]["readOnlyRootFilesystem"]


def test_there_are_twenty_value_sets() -> None:
    """And not an empty directory."""
    assert len(VALUE_SETS) >= 20


def test_every_value_is_set_by_some_value_set() -> None:
    """A value that nobody has tried may do nothing."""
    tried = {
        path
        for values in VALUE_SETS
        for path in paths(yaml.safe_load(values.read_text(encoding="utf-8")), DEFAULTS)
    }

    assert set(paths(DEFAULTS, DEFAULTS)) - tried == set()


def test_the_schema_knows_each_value_and_no_other() -> None:
    """A value that is in one of both only could not be set, or would do nothing."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    assert set(settings_in(schema, DEFAULTS)) == set(paths(DEFAULTS, DEFAULTS))


def test_each_value_is_explained() -> None:
    """Where it is set, and so on the page that is made of that."""
    rows = list(rows_of((CHART / "values.yaml").read_text(encoding="utf-8")))

    assert [row.path for row in rows if not row.meaning] == []
    assert {f".{row.path}" for row in rows if row.default} == set(paths(DEFAULTS, DEFAULTS))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("replica=2", "replica"),
        ("log.format=xml", "log"),
        ("image.digest=latest", "digest"),
        ("tolerations[0].efect=NoSchedule", "efect"),
    ],
)
def test_a_value_that_means_nothing_is_refused(setting: str, told: str) -> None:
    """A misspelt setting is told instead of being ignored."""
    with pytest.raises(Refused, match=told):
        chart(setting)
