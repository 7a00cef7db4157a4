"""What the pages say about the code is compared with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentherd.api import OperatingMode, Phase
from agentherd.domain.reasons import Reason

REPOSITORY = Path(__file__).parents[3]
SOURCES = REPOSITORY / "operator/agentherd"
DOCS = REPOSITORY / "docs"
LAYERS = ("api", "domain", "cluster", "engine", "runtime", "plugin")
WRITTEN = [page for page in DOCS.rglob("*.md") if page.parent.name != "reference"]
PAGES = sorted([*REPOSITORY.glob("*.md"), *WRITTEN, REPOSITORY / "examples/README.md"])

TROUBLE = (DOCS / "how-to/when-something-is-wrong.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")


def rows(page: str) -> list[str]:
    """The first cells of all tables of a page, as far as they are one word of code."""
    return re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)


def imports() -> Iterator[tuple[str, str]]:
    """Each import of one layer by another."""
    for layer in LAYERS:
        for path in (SOURCES / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    continue
                for name in names:
                    parts = name.split(".")
                    if parts[0] == "agentherd" and parts[1] in LAYERS and parts[1] != layer:
                        yield layer, parts[1]


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_each_reason_is_explained_once(reason: Reason) -> None:
    """Whoever searches for the word a condition shows finds what to do."""
    assert rows(TROUBLE).count(reason.value) == 1


def test_no_reason_is_made_up() -> None:
    """A reason that is gone from the code goes from the page."""
    assert set(rows(TROUBLE)) == {reason.value for reason in Reason}


def test_the_picture_of_the_layers_is_that_of_the_imports() -> None:
    """Every import between layers is an arrow, and every arrow an import."""
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", ARCHITECTURE, re.MULTILINE))

    assert {edge for edge in drawn if set(edge) <= set(LAYERS)} == set(imports())


def test_the_modules_that_architecture_names_exist() -> None:
    """`where lives what` leads somewhere."""
    named = set(re.findall(rf"\b((?:{'|'.join(LAYERS)})/\w+\.py)\b", ARCHITECTURE))

    assert named
    assert [name for name in sorted(named) if not (SOURCES / name).exists()] == []


def test_each_module_of_the_rules_has_its_place_in_architecture() -> None:
    """A newcomer finds every concern of the domain in the table."""
    modules = {f"domain/{path.name}" for path in (SOURCES / "domain").glob("[!_]*.py")}

    missing = {name for name in modules if name not in ARCHITECTURE}
    assert missing <= {"domain/observation.py"}, "add a row to `Where lives what`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    """A link within the repository is not broken."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inner = [target for target in targets if "://" not in target]

    assert [target for target in inner if not (page.parent / target).exists()] == []


def test_the_readme_lists_each_how_to() -> None:
    """No page is reachable only for those who know of it."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")

    assert [
        p.name for p in (DOCS / "how-to").glob("*.md") if f"how-to/{p.name}" not in readme
    ] == []


def test_each_decision_has_number_date_and_status() -> None:
    """And its line in the table."""
    table = (DOCS / "adr/README.md").read_text(encoding="utf-8")
    for page in (DOCS / "adr").glob("0*.md"):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {page.name[:4]}: ")
        assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d\. Status: .+\.", lines[2])
        assert f"({page.name})" in table


def test_the_concepts_name_every_phase_and_mode() -> None:
    """The page and the enumeration know the same phases."""
    concepts = (DOCS / "concepts.md").read_text(encoding="utf-8")
    assert [p for p in (*Phase, *OperatingMode) if f"`{p.value}`" not in concepts] == []
