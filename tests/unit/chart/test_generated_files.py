"""What is generated for installing is what its sources say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from manifests.__main__ import chart_crd, generated, main, role

REPOSITORY = Path(__file__).parents[3]
FILES = generated(REPOSITORY)
CRD = "kind: CustomResourceDefinition\nmetadata:\n  name: x\nspec:\n  text: {}\n"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_file_in_the_repository_is_fresh(path: Path) -> None:
    """`make generate` would change nothing."""
    assert (REPOSITORY / path).read_text(encoding="utf-8") == FILES[path]


def test_each_crd_is_in_the_chart() -> None:
    """A new definition cannot be forgotten."""
    definitions = {path.name for path in (REPOSITORY / "crds").glob("*.yaml")}
    templates = {p.name for p in (REPOSITORY / "helm/agentherd/templates/crds").iterdir()}

    assert templates == definitions


def test_install_holds_every_file_of_the_base() -> None:
    """A file that the kustomization does not list would be missed by everybody."""
    base = REPOSITORY / "manifests/base"
    listed = yaml.safe_load((base / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    present = {path.name for path in base.glob("*.yaml")} - {"kustomization.yaml"}

    assert present == {name for name in listed if not name.startswith("..")}


def test_braces_of_a_description_are_no_template() -> None:
    """Helm must not read what a person wrote about a field."""
    template = chart_crd(CRD.format("'{{ .Values.x }}'"))

    assert '{{ "{{" }} .Values.x }}' in template


def test_a_role_has_no_rule_about_what_is_nobodys_namespace() -> None:
    """Each rule keeps its comment, and one that goes takes it along."""
    rules = "  # Why.\n  - apiGroups: [x]\n    resources: [gateways]\n    verbs: [list]\n"
    kept = rules.replace("gateways", "routes").replace("Why", "And why")

    found = role("# Head.\nkind: ClusterRole\nmetadata:\n  name: x\nrules:\n" + rules + kept)

    assert found.endswith(f"metadata:\n  namespace: agents\n  name: x\nrules:\n{kept}")
    assert "kind: Role\n" in found


def test_annotations_of_a_crd_are_not_overwritten() -> None:
    """Two blocks of annotations would silently become one."""
    annotated = CRD.replace("  name: x\n", "  name: x\n  annotations:\n    a: b\n")

    with pytest.raises(SystemExit):
        chart_crd(annotated)


def test_check_names_the_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails and repairs nothing; without it the file is written, once."""
    for folder in ("crds", "manifests/base", "manifests/gitops/argocd", "helm/agentherd"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "crds/x.yaml").write_text(CRD.format("y"), encoding="utf-8")
    (tmp_path / "helm/agentherd/values.yaml").write_text("# How many.\na: 1\n", encoding="utf-8")
    (tmp_path / "manifests/gitops/argocd/health.lua").write_text("return {}\n", encoding="utf-8")
    (tmp_path / "manifests/base/cluster-role.yaml").write_text("rules:\n", encoding="utf-8")
    (tmp_path / "manifests/base/kustomization.yaml").write_text("resources: []", encoding="utf-8")

    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert "install.yaml is stale" in capsys.readouterr().err
    assert not (tmp_path / "manifests/install.yaml").exists()

    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0
