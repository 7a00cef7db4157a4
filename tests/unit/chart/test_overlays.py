"""Each overlay installs what the chart does with the values that it is named after."""

from __future__ import annotations

import pytest
from tests.installing.rendering import (
    CHART,
    ROOT,
    Identity,
    chart,
    kustomization,
    without_labels,
)

NAMESPACES: frozenset[Identity] = frozenset(
    {("Namespace", "", "agentherd"), ("Namespace", "", "agents")}
)
"""Helm makes none, or leaves it to `--create-namespace`."""


@pytest.mark.parametrize(
    ("overlay", "values"), [("ha", "ha-values.yaml"), ("namespaced", "one-namespace-values.yaml")]
)
def test_an_overlay_is_the_chart_with_some_values(overlay: str, values: str) -> None:
    """Whoever goes from one to the other finds the same operator."""
    found = kustomization(f"manifests/overlays/{overlay}")

    wanted = chart("crds.keep=false", values=CHART / "ci" / values)
    plain = {identity: each for identity, each in found.items() if identity not in NAMESPACES}
    assert without_labels(plain) == without_labels(wanted)


def test_there_is_no_other_overlay() -> None:
    """One that nobody compares would soon be another operator."""
    present = {path.name for path in (ROOT / "manifests/overlays").iterdir()}

    assert present == {"ha", "namespaced"}


def test_the_spread_is_of_the_pods_themselves() -> None:
    """The comparison above leaves out labels, which are what a selector is about."""
    found = kustomization("manifests/overlays/ha")
    template = found["Deployment", "agentherd", "agentherd"]["spec"]["template"]

    for constraint in template["spec"]["topologySpreadConstraints"]:
        selected = constraint["labelSelector"]["matchLabels"]
        assert selected.items() <= template["metadata"]["labels"].items()
