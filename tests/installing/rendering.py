"""The chart and the kustomizations as objects.

Helm and kubectl are those of the development cluster; where they have not been built yet the
`NotBuilt` says how. A rendering is made once in a process, since each takes a second.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "helm/agentherd"
VALUE_SETS: Final = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
"""Each shows another way to install; named as chart-testing looks for them."""

KUBERNETES: Final = "1.36.3"
PROMETHEUS_OPERATOR: Final = (
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
)
"""What an API server knows besides where one is installed."""

_SafeLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]
Identity = tuple[str, str, str]
Objects = dict[Identity, Object]
"""By kind, namespace ("" for those of the cluster) and name."""


class NotBuilt(Exception):
    """A program of the development cluster is not there yet."""


class Refused(Exception):
    """A program did not do what it was asked for; the text is what it said."""


def program(name: str) -> str:
    """The path of a program of the development cluster."""
    path = ROOT / ".cache/bin" / name
    if not path.exists():
        raise NotBuilt(f"{name} is not built yet; `make cluster-up` does it")
    return str(path)


def run(*words: str | Path, text: str | None = None) -> str:
    """Run a program and return what it printed."""
    answer = subprocess.run(
        [str(word) for word in words], input=text, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise Refused(answer.stdout + answer.stderr)
    return answer.stdout


@cache
def chart_text(
    *settings: str,
    values: Path | None = None,
    release: str = "agentherd",
    namespace: str = "agentherd",
    known: tuple[str, ...] = (),
) -> str:
    """What Helm makes of the chart, hooks included, on a server that knows these kinds as well."""
    words = [word for setting in settings for word in ("--set", setting)]
    words += [word for kind in known for word in ("--api-versions", kind)]
    if values is not None:
        words += ["--values", str(values)]
    place = ("--namespace", namespace, "--kube-version", KUBERNETES)
    return run(program("helm"), "template", release, CHART, *place, *words)


def chart(
    *settings: str,
    values: Path | None = None,
    release: str = "agentherd",
    namespace: str = "agentherd",
    known: tuple[str, ...] = (),
) -> Objects:
    """The objects of a release, without those of its hooks."""
    text = chart_text(*settings, values=values, release=release, namespace=namespace, known=known)
    found = objects(text)
    return {identity: each for identity, each in found.items() if not is_hook(each)}


@cache
def kustomization_text(path: str) -> str:
    """What kubectl makes of a kustomization, by its path in the repository."""
    return run(program("kubectl"), "kustomize", ROOT / path)


def kustomization(path: str) -> Objects:
    """The objects of a kustomization."""
    return objects(kustomization_text(path))


class _Loader(_SafeLoader):
    """Refuses a key that is there twice, as the API server does; YAML's own would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [each.value for each, _ in node.value]
        twice = {each for each in keys if keys.count(each) > 1}
        assert not twice, f"twice: {twice} {node.start_mark}"
        return super().construct_mapping(node, deep)


def objects(text: str) -> Objects:
    """The objects of a text; raises AssertionError if one, or a key in one, is there twice."""
    found: Objects = {}
    for each in yaml.load_all(text, Loader=_Loader):
        if each:
            metadata = each["metadata"]
            identity = (each["kind"], metadata.get("namespace", ""), metadata["name"])
            assert identity not in found, f"twice: {identity}"
            found[identity] = each
    return found


def is_hook(manifest: Object) -> bool:
    """Whether Helm makes it at some occasion only."""
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})


def without_labels(thing: Any) -> Any:
    """Labels name the tool and the release, and the selectors follow them."""
    if isinstance(thing, dict):
        left = {"labels", "selector", "labelSelector", "matchLabels"}
        return {key: without_labels(value) for key, value in thing.items() if key not in left}
    return [without_labels(item) for item in thing] if isinstance(thing, list) else thing
