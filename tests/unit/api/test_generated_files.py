"""What is in the repository is what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agentherd.api.__main__ import GENERATED, main
from agentherd.api.crd import crd, crd_yaml
from agentherd.api.resources import Resource

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", GENERATED)
def test_the_file_in_the_repository_is_fresh(name: str) -> None:
    """`make generate` would change nothing."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")

    assert text == GENERATED[name]()


def test_the_file_holds_the_whole_definition(resource: Resource) -> None:
    """YAML loses nothing and uses no aliases, which some readers do not follow."""
    text = crd_yaml(resource)

    assert yaml.safe_load(text) == crd(resource)
    assert "&id" not in text


LARGEST = {"agents": 60_000, "agentupgrades": 90_000, "modeldeployments": 90_000}
"""Bytes. An AgentUpgrade tells in its status what its strategy and its analysis were."""


def test_the_definition_stays_small(resource: Resource) -> None:
    """It fits into every annotation and every reader's patience."""
    assert len(crd_yaml(resource).encode()) < LARGEST[resource.model.PLURAL]


def test_the_kustomization_lists_every_definition() -> None:
    """A definition that it does not list would be installed by nobody."""
    listed = yaml.safe_load((REPOSITORY / "crds/Kustomization").read_text(encoding="utf-8"))

    definitions = [name for name in GENERATED if name.startswith("crds/")]
    assert [f"crds/{name}" for name in listed["resources"]] == definitions


def test_writing_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second run finds every file fresh."""
    assert main(["--root", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(GENERATED)

    assert main(["--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_the_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails, says which file it is, and repairs nothing."""
    main(["--root", str(tmp_path)])
    stale = tmp_path / "docs/reference/agent.md"
    stale.write_text("old", encoding="utf-8")

    code = main(["--root", str(tmp_path), "--check"])

    assert code == 1
    assert str(stale) in capsys.readouterr().err
    assert stale.read_text(encoding="utf-8") == "old"


def test_check_is_content_with_fresh_files(tmp_path: Path) -> None:
    """`--check` succeeds after writing."""
    main(["--root", str(tmp_path)])

    assert main(["--root", str(tmp_path), "--check"]) == 0


def test_the_reference_shows_every_field() -> None:
    """Each property of the schema has its row, at its place."""
    page = GENERATED["docs/reference/agent.md"]()

    for field in ("drain", "operatingModeReason", "config", "health"):
        assert f"| `{field}` |" in page
    for section in ("## spec.health.http", "## status.conditions[]", "## spec.template.spec"):
        assert f"\n{section}\n" in page


def test_the_reference_tells_the_rules() -> None:
    """What the server refuses stands at the top."""
    page = GENERATED["docs/reference/agentupgrade.md"]()

    assert "\n- spec.targetRef cannot be changed: " in page
