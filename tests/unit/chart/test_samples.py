"""The samples are understood, and leave nothing out.

Whether the API server takes them is seen on a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.installing.rendering import ROOT

from agentherd.api import Agent, AgentUpgrade, ModelDeployment
from agentherd.api.crd import object_schema
from agentherd.api.resources import RESOURCES

SAMPLES = ROOT / "manifests/samples"
FILES = sorted(path for path in SAMPLES.glob("*.yaml") if path.name != "kustomization.yaml")
OBJECTS = [each for path in FILES for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
MODELS: dict[str, type[Agent | AgentUpgrade | ModelDeployment]] = {
    "Agent": Agent,
    "AgentUpgrade": AgentUpgrade,
    "ModelDeployment": ModelDeployment,
}
SHARED = (
    (r"AgentUpgrade\.strategy", "Agent.upgradePolicy"),
    (r"AgentUpgrade\.analysis", "Agent.upgradePolicy.analysis"),
    (r"ModelDeployment\.canary\.steps", "Agent.upgradePolicy.canary.steps"),
    (r"ModelDeployment\.(traffic|metrics|health|drain|upgradePolicy)", r"Agent.\1"),
    # A person's own word, which a sample that is applied must not speak.
    (r"AgentUpgrade\.approval\.(approvedBy|revision)", "AgentUpgrade.approval.required"),
)
"""Blocks that mean the same in several kinds are shown once."""


def fields(schema: Any, path: str) -> Iterator[str]:
    """Every field of a schema that has no fields of its own."""
    if schema.get("type") == "array":
        yield from fields(schema["items"], path)
    elif inner := schema.get("properties"):
        for name, each in inner.items():
            yield from fields(each, f"{path}.{name}")
    else:
        yield path


def paths(value: Any, path: str) -> Iterator[str]:
    """Every path that an object has, with those on the way."""
    yield path
    if isinstance(value, dict):
        for name, each in value.items():
            yield from paths(each, f"{path}.{name}")
    if isinstance(value, list):
        for each in value:
            yield from paths(each, path)


def shared(path: str) -> str:
    for block, where in SHARED:
        path = re.sub(f"^{block}(?=\\.|$)", where, path)
    return path


@pytest.mark.parametrize("sample", OBJECTS, ids=lambda each: each["metadata"]["name"])
def test_each_sample_is_understood(sample: dict[str, Any]) -> None:
    """Nothing in it is dropped."""
    raw = {**sample, "metadata": {**sample["metadata"], "namespace": "default"}}

    parsed = MODELS[sample["kind"]].model_validate(raw)

    assert parsed.spec.model_dump(by_alias=True, exclude_unset=True) == sample["spec"]


def test_every_field_is_in_some_sample() -> None:
    """From simple to complete means complete."""
    known = {
        shared(path)
        for resource in RESOURCES
        for path in fields(object_schema(resource)["properties"]["spec"], resource.kind)
    }

    shown = {shared(path) for each in OBJECTS for path in paths(each["spec"], each["kind"])}

    assert known - shown == set()


def test_each_file_is_listed() -> None:
    """kubectl -k shows them all, in the order of their numbers."""
    listed = yaml.safe_load((SAMPLES / "kustomization.yaml").read_text(encoding="utf-8"))

    assert listed["resources"] == [path.name for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_says_what_it_shows(path: Path) -> None:
    """A manifest without a word is of little use to copy from."""
    assert path.read_text(encoding="utf-8").startswith("# ")
