"""`python -m tests.installing`, which is `make lint-install`: tools look at what is installed.

All value sets, the kustomizations, samples, examples and what is for Argo CD and Flux are validated
by kubeconform, kinds of others by their own definitions; the chart as it is by default, hardened by
nobody, is looked at by kube-score and checkov. What they find has to be in waivers.yaml, and what
is there has to be found. Needs no cluster.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import yaml
from devcluster import toolchain
from devcluster.progress import Progress
from tests.installing.lint import Finding, checkov, kube_score, kubeconform
from tests.installing.rendering import (
    CHART,
    KUBERNETES,
    PROMETHEUS_OPERATOR,
    ROOT,
    VALUE_SETS,
    chart_text,
    kustomization_text,
    program,
    run,
)
from tests.installing.schemas import write_schemas

SCHEMAS: Final = ROOT / ".cache/schemas" / KUBERNETES
WAIVERS: Final = Path(__file__).with_name("waivers.yaml")
KUSTOMIZATIONS: Final = ("base", "overlays/ha", "overlays/namespaced", "samples")


def main() -> int:
    """Build what is missing, look, and tell; 1 if something is left to be done."""
    progress = Progress()
    for tool in (toolchain.HELM, toolchain.KUBERNETES, toolchain.LINT):
        toolchain.build(tool, progress)
    swagger = toolchain.kubernetes_schemas(progress) / "swagger.json"
    definitions = (
        *(ROOT / "crds").glob("*.yaml"),
        *toolchain.gateway_api_crds(progress).glob("*.yaml"),
        *toolchain.definitions_of_others(progress),
    )
    write_schemas(swagger, definitions, SCHEMAS)
    run(program("helm"), "lint", "--strict", CHART)
    with tempfile.TemporaryDirectory() as name:
        found = tuple(_findings(Path(name)))
    waivers = yaml.safe_load(WAIVERS.read_text(encoding="utf-8"))
    waived = {(tool, check) for tool, checks in waivers.items() for check in checks}
    left = [each for each in found if (each.tool, each.check) not in waived]
    for each in left:
        print(f"{each.tool} {each.check}: {each.subject}: {each.says}")
    for tool, check in sorted(waived - {(each.tool, each.check) for each in found}):
        print(f"{tool} {check}: is waived, and nothing is found")
        left.append(Finding(tool=tool, check=check, subject="waivers.yaml", says="unused"))
    if not left:
        print(f"{len(found)} findings, each of them waived with a reason in {WAIVERS.name}")
    return 1 if left else 0


def _findings(directory: Path) -> Iterator[Finding]:
    for values in VALUE_SETS:
        text = chart_text(values=values, known=PROMETHEUS_OPERATOR)
        (directory / f"{values.stem}.yaml").write_text(text)
    for path in KUSTOMIZATIONS:
        text = kustomization_text(f"manifests/{path}")
        (directory / f"{path.replace('/', '-')}.yaml").write_text(text)
    for example in (ROOT / "examples").glob("*.yaml"):
        (directory / f"example-{example.name}").write_text(example.read_text())
    for file in (ROOT / "manifests/gitops").glob("*/*.yaml"):
        (directory / f"gitops-{file.parent.name}-{file.name}").write_text(file.read_text())
    yield from kubeconform(SCHEMAS, directory)
    plain = directory / "plain.yaml"
    plain.write_text(chart_text("crds.enabled=false"))
    yield from chain(kube_score(plain), checkov(os.environ.get("UV", "uv"), plain))


if __name__ == "__main__":
    sys.exit(main())
