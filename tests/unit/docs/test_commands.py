"""What the pages tell people to type is what the API knows.

Whether a command does what the page says is seen on a cluster; here it is made sure that no field
that was renamed lives on in a page, where the API server would drop it without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from click import Option

from agentherd.api import Agent, AgentUpgrade, ModelDeployment
from agentherd.domain.judging.verdict import LEADS
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.change import merged
from agentherd.domain.upgrades.strategy import Defaults
from agentherd.domain.upgrades.way_back import TRIGGERS
from agentherd.runtime.cli import run

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", DOCS / "concepts.md", *(DOCS / "how-to").glob("*.md")]
EXAMPLES = list((REPOSITORY / "examples").glob("*.yaml"))

Subject = Agent | AgentUpgrade | ModelDeployment

MODELS: dict[str, type[Subject]] = {
    "agent": Agent,
    "agup": AgentUpgrade,
    "agentupgrade": AgentUpgrade,
    "mdep": ModelDeployment,
    "modeldeployment": ModelDeployment,
}
LEAST: dict[type[Subject], dict[str, Any]] = {
    Agent: {"template": {"spec": {"containers": []}}},
    AgentUpgrade: {"targetRef": {"name": "hello"}},
    ModelDeployment: {
        "versions": [{"name": "v1", "image": "embedder:1"}],
        "activeVersion": "v1",
        "canary": {"version": "v1"},
    },
}

PATCH = re.compile(r"kubectl patch (\w+) \S+ --type[ =]merge[ \\\n]+-p '(\{.*?\})'", re.DOTALL)
PATH = re.compile(r"kubectl get (\w+) [^|`\n]*?jsonpath='\{(?:range )?\.(spec|status)\.(\w+)")
SNIPPET = re.compile(r"(?:upgradePolicy|traffic|metrics):$")


def text_of(page: Path) -> str:
    """The text of a page, or the comments at the head of an example."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE) if page.suffix == ".yaml" else text


def patches() -> Iterator[Any]:
    for page in (*PAGES, *EXAMPLES):
        for kind, patch in PATCH.findall(text_of(page)):
            yield pytest.param(MODELS[kind], json.loads(patch)["spec"], id=f"{page.stem}-{patch}")


def snippets() -> Iterator[Any]:
    """Parts of an Agent's spec that a page shows by themselves."""
    for page in PAGES:
        blocks = re.findall(r"(?:^    .*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
        for block in map(dedent, blocks):
            if SNIPPET.match(block.splitlines()[0]):
                yield pytest.param(yaml.safe_load(block), id=f"{page.stem}-{block[:40]}")


def paths() -> Iterator[Any]:
    for page in (*PAGES, *EXAMPLES):
        for kind, part, field in PATH.findall(text_of(page)):
            if kind in MODELS:
                yield pytest.param(MODELS[kind], part, field, id=f"{page.stem}-{kind}-{field}")


def said(value: Any) -> Any:
    """What a merge patch sets, without what it removes."""
    if isinstance(value, dict):
        return {key: said(inner) for key, inner in value.items() if inner is not None}
    return value


def assert_understood(model: type[Subject], spec: dict[str, Any]) -> None:
    whole = merged(LEAST[model], said(spec))
    raw = {"metadata": {"name": "hello", "namespace": "default"}, "spec": whole}

    parsed = model.model_validate(raw)

    assert parsed.spec.model_dump(by_alias=True, exclude_unset=True) == whole


@pytest.mark.parametrize(("model", "spec"), [*patches()])
def test_each_patch_sets_only_fields_that_exist(model: type[Subject], spec: dict[str, Any]) -> None:
    """Nobody types a patch that changes nothing."""
    assert_understood(model, spec)


@pytest.mark.parametrize("snippet", [*snippets()])
def test_each_part_of_a_spec_has_only_fields_that_exist(snippet: dict[str, Any]) -> None:
    """Nobody copies a field that is dropped."""
    assert_understood(Agent, snippet)


@pytest.mark.parametrize(("model", "part", "field"), [*paths()])
def test_each_path_leads_to_a_field(model: type[Subject], part: str, field: str) -> None:
    """Nobody asks for a field that is always empty."""
    fields: Any = model.model_fields[part].annotation

    assert field in {found.alias for found in fields.model_fields.values()}


def test_the_settings_of_upgrades_are_listed_as_they_are() -> None:
    """Option, variable, value of the chart and default, each as the operator has it."""
    page = (DOCS / "how-to/upgrade-with-a-canary.md").read_text(encoding="utf-8")
    listed = set(
        re.findall(r"^\| `(--\S+)` \| `(\w+)` \| `upgrades\.(\w+)` \| (\S+) \|", page, re.M)
    )
    chart = yaml.safe_load((REPOSITORY / "helm/agentherd/values.yaml").read_text(encoding="utf-8"))

    options = [o for o in run.params if isinstance(o, Option) and o.name in fields_of_defaults()]

    assert {(option, variable, default) for option, variable, _, default in listed} == {
        (o.opts[0], f"AGENTHERD_{(o.name or '').upper()}", str(o.default)) for o in options
    }
    assert {value for _, _, value, _ in listed} == set(chart["upgrades"])


def fields_of_defaults() -> set[str]:
    return set(Defaults.__dataclass_fields__)


def test_the_concepts_name_each_trigger_of_a_rollback() -> None:
    """What takes a version back is no secret."""
    page = (DOCS / "concepts.md").read_text(encoding="utf-8")
    table = page.split("The new version is given up when", 1)[1].split("\n\n", 2)[1]

    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", table, re.MULTILINE)
    named = set(re.findall(r"\w+", " ".join(rows)))

    others = {Reason.REFUSED, Reason.PROGRESS_DEADLINE, Reason.REQUESTED}
    assert named == {reason.value for reason in {*TRIGGERS.values(), *others, *LEADS}}
