"""Write what is generated for installing, or check that it is fresh.

`python -m manifests` is run at the root of the repository. It writes manifests/install.yaml, which
is all files of manifests/base in the order of its kustomization, the CRDs of the chart, which are
those of crds/ with a switch around them, and the Role of manifests/overlays/namespaced, which is
the ClusterRole of the base but for what belongs to no namespace; also the health checks of Argo CD,
which are one script for three kinds, and the reference of the chart's values. It needs neither
kubectl nor helm: the kustomization of the base only lists files, which a test compares with what
kubectl makes of it. `--check` writes nothing, names each file that differs and exits with 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml
from manifests.values import values_reference

from agentherd.api.meta import API_GROUP
from agentherd.api.resources import RESOURCES

BASE: Final = Path("manifests/base")
INSTALL: Final = Path("manifests/install.yaml")
CLUSTER_ROLE: Final = BASE / "cluster-role.yaml"
ROLE: Final = Path("manifests/overlays/namespaced/role.yaml")
SERVED: Final = "agents"
"""The namespace that the overlay serves."""
FOR_CLUSTERS: Final = frozenset({"gatewayclasses", "gateways"})
"""What is of no use in a Role: the one is nobody's namespace, the other somebody else's."""
VALUES: Final = Path("helm/agentherd/values.yaml")
REFERENCE: Final = Path("docs/reference/helm-values.md")
HEALTH: Final = Path("manifests/gitops/argocd/health.lua")
ARGOCD: Final = Path("manifests/gitops/argocd/argocd-cm.yaml")
CRDS: Final = Path("crds")
CHART_CRDS: Final = Path("helm/agentherd/templates/crds")

PAGE_HEADER: Final = "<!-- Generated from {source} by `make generate`; do not edit. -->\n\n"
HEADER: Final = "# Generated from {source} by `make generate`; do not edit.\n"
_RULE: Final = re.compile(r"(?:  #.*\n)*  - .*\n(?:    .*\n)*")
"""An item of a list, with the comment before it."""

ARGOCD_HEAD: Final = """\
#
#   kubectl apply --server-side -f manifests/gitops/argocd/argocd-cm.yaml
#
# leaves all else that is in this ConfigMap as it is.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
"""
KEEP: Final = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def generated(root: Path) -> dict[Path, str]:
    """Every generated file, relative to `root`, with what belongs in it."""
    cluster_role = (root / CLUSTER_ROLE).read_text(encoding="utf-8")
    files = {INSTALL: install(root), ROLE: role(cluster_role)}
    files[ARGOCD] = argocd((root / HEALTH).read_text(encoding="utf-8"))
    values = (root / VALUES).read_text(encoding="utf-8")
    files[REFERENCE] = PAGE_HEADER.format(source=VALUES) + values_reference(values)
    for crd in sorted((root / CRDS).glob("*.yaml")):
        files[CHART_CRDS / crd.name] = chart_crd(crd.read_text(encoding="utf-8"))
    return files


def install(root: Path) -> str:
    """All of manifests/base in one file."""
    documents = (path.read_text(encoding="utf-8") for path in _resources(root / BASE))
    return HEADER.format(source=BASE) + "---\n".join(_without_header(text) for text in documents)


def role(cluster_role: str) -> str:
    """The Role for one namespace: the rules of the ClusterRole, each under its comment."""
    head, found, rules = cluster_role.partition("rules:\n")
    if not found:
        raise SystemExit(f"{CLUSTER_ROLE} has no rules")
    head = re.sub("^#.*\n", "", head, flags=re.MULTILINE)
    head = head.replace("kind: ClusterRole\n", "kind: Role\n")
    head = head.replace("metadata:\n", f"metadata:\n  namespace: {SERVED}\n")
    kept = [rule for rule in _RULE.findall(rules) if not _resources_of(rule) & FOR_CLUSTERS]
    return HEADER.format(source=CLUSTER_ROLE) + head + found + "".join(kept)


def argocd(script: str) -> str:
    """What Argo CD's ConfigMap has to say besides what it says already."""
    said = "".join(
        f"    {line}" if line.strip() else line for line in script.splitlines(keepends=True)
    )
    kinds = "".join(
        f"  resource.customizations.health.{API_GROUP}_{resource.kind}: |\n{said}"
        for resource in RESOURCES
    )
    return HEADER.format(source=HEALTH) + ARGOCD_HEAD + kinds


def chart_crd(text: str) -> str:
    """A CustomResourceDefinition as a template of the chart, which Helm leaves as it is.

    The metadata of ours has no annotations of its own, which the template adds.
    """
    body = _without_header(text).replace("{{", '{{ "{{" }}')
    head, found, rest = body.partition("metadata:\n")
    if not found or "\n  annotations:" in rest.partition("\nspec:")[0]:
        raise SystemExit("a CRD needs metadata, without annotations")
    template = f"{head}{found}{KEEP}{rest}"
    return (
        HEADER.format(source=CRDS) + "{{- if .Values.crds.enabled }}\n" + template + "{{- end }}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m manifests", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file is stale"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="root of the repository (default: here)"
    )
    options = parser.parse_args(arguments)
    root: Path = options.root
    stale = {path: text for path, text in generated(root).items() if _read(root / path) != text}
    if options.check:
        sys.stderr.writelines(f"{path} is stale: run `make generate`\n" for path in stale)
        return 1 if stale else 0
    for path, text in stale.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path} written\n")
    return 0


def _resources_of(rule: str) -> set[str]:
    return {resource for each in yaml.safe_load(rule) for resource in each["resources"]}


def _resources(directory: Path) -> Iterator[Path]:
    """The files a kustomization lists, directories followed."""
    names = (directory / "kustomization.yaml", directory / "Kustomization")
    listed = next(path for path in names if path.exists())
    for name in yaml.safe_load(listed.read_text(encoding="utf-8"))["resources"]:
        path = directory / name
        if path.is_dir():
            yield from _resources(path)
        else:
            yield path


def _without_header(text: str) -> str:
    return text.removeprefix(HEADER.format(source="operator/agentherd/api"))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
