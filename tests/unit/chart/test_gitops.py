"""What Argo CD and Flux make of our objects, at each moment at which they may look."""

from __future__ import annotations

from functools import cache

import pytest
import yaml
from tests.installing.argo import CONFIG, KEY, health
from tests.installing.kstatus import kstatus
from tests.installing.lives import moments
from tests.installing.rendering import ROOT

from agentherd.api.resources import RESOURCES

GITOPS = ROOT / "manifests/gitops"

SEEN = {
    "agent that is new": ("Progressing", "InProgress"),
    "agent that is up": ("Healthy", "Current"),
    "agent that has changed": ("Progressing", "InProgress"),
    # It is the upgrade that is suspended; of its Agent it is told that it is on its way.
    "agent whose upgrade waits": ("Progressing", "InProgress"),
    "upgrade that waits": ("Suspended", "InProgress"),
    "agent that was rolled back": ("Degraded", "Failed"),
    "upgrade that was rolled back": ("Degraded", "Failed"),
    "agent in mode Running": ("Healthy", "Current"),
    # To have no pods is what was asked for: Flux has no word for that, Argo CD has.
    "agent in mode Suspended": ("Suspended", "Current"),
    "agent in mode Maintenance": ("Suspended", "Current"),
    "agent in mode Offline": ("Suspended", "Current"),
    "upgrade of nobody": ("Degraded", "Failed"),
    "upgrade without approval": ("Suspended", "InProgress"),
    "upgrade that was superseded": ("Degraded", "Failed"),
    "upgrade that has succeeded": ("Healthy", "Current"),
    # It may start after all; whoever waits is told to give up after the deadline.
    "agent that cannot start": ("Degraded", "InProgress"),
    "agent that is late": ("Degraded", "Failed"),
    "agent that is not managed": ("Suspended", "Failed"),
    "model that is up": ("Healthy", "Current"),
    "model whose swap waits": ("Progressing", "InProgress"),
    "model that was rolled back": ("Degraded", "Failed"),
    "model that is not managed": ("Suspended", "Failed"),
}


@cache
def by_flux() -> dict[str, str]:
    """All in one run of the program."""
    found = moments()
    return dict(zip(found, (status for status, _ in kstatus(found.values())), strict=True))


def test_every_moment_is_looked_at() -> None:
    """None that is played is left out."""
    assert set(SEEN) == set(moments())


@pytest.mark.parametrize("moment", SEEN)
def test_argo_cd_shows_how_it_is(moment: str) -> None:
    """By the script that is installed with the manifests."""
    status, message = health(moments()[moment])

    assert status == SEEN[moment][0]
    assert message


@pytest.mark.parametrize("moment", SEEN)
def test_flux_waits_as_long_as_there_is_something_to_wait_for(moment: str) -> None:
    """By the conditions alone, which kstatus reads without knowing our kinds."""
    assert by_flux()[moment] == SEEN[moment][1]


def test_each_kind_has_a_health_check() -> None:
    """A kind without one has no health at all in Argo CD."""
    told = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["data"]

    assert set(told) == {KEY + resource.kind for resource in RESOURCES}


def test_argo_cd_leaves_replicas_to_an_autoscaler() -> None:
    """Of each kind that can be scaled, when it compares and when it writes."""
    application = yaml.safe_load((GITOPS / "argocd/agents.yaml").read_text(encoding="utf-8"))[
        "spec"
    ]

    ignored = {each["kind"]: each["jsonPointers"] for each in application["ignoreDifferences"]}
    scaled = [resource.kind for resource in RESOURCES if "scale" in resource.subresources]
    assert ignored == {kind: ["/spec/replicas"] for kind in scaled}
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]


def test_nobody_applies_the_definitions_as_a_client() -> None:
    """Such an apply keeps them whole in an annotation, for which they are too large."""
    application = yaml.safe_load((GITOPS / "argocd/operator.yaml").read_text(encoding="utf-8"))

    assert "ServerSideApply=true" in application["spec"]["syncPolicy"]["syncOptions"]


@pytest.mark.parametrize("path", sorted(GITOPS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_each_path_of_the_repository_exists(path: str) -> None:
    """What is fetched from Git is where it is looked for."""
    for each in yaml.safe_load_all((GITOPS / path).read_text(encoding="utf-8")):
        spec = each.get("spec", {})
        source = spec.get("source") or spec.get("chart", {}).get("spec", {}) or spec
        wanted = source.get("path") or source.get("chart")
        if wanted and each["metadata"]["name"] == "agentherd":
            assert (ROOT / wanted).is_dir()
