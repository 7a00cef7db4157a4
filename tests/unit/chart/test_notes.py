"""What Helm tells at the end of an install.

Helm shows it only where there is a cluster, so here it is part of a chart that has nothing else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.installing.rendering import CHART, KUBERNETES, program, run

FILES = ("Chart.yaml", "values.yaml", "values.schema.json", "templates/_names.tpl")
MONITOR, RULE = (f"monitoring.coreos.com/v1/{kind}" for kind in ("PodMonitor", "PrometheusRule"))


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("chart")
    templates = made / "templates"
    templates.mkdir()
    for name in FILES:
        shutil.copy(CHART / name, made / name)
    notes = (CHART / "templates/NOTES.txt").read_text(encoding="utf-8")
    (templates / "_notes.tpl").write_text(f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}')
    (templates / "notes.yaml").write_text('notes: {{ include "notes" . | quote }}')
    return made


def told(chart: Path, *settings: str, known: tuple[str, ...] = ()) -> str:
    """The text, on an API server that knows these kinds besides its own."""
    words = [word for kind in known for word in ("--api-versions", kind)]
    words += [word for setting in settings for word in ("--set", setting)]
    place = ("--namespace", "ops", "--kube-version", KUBERNETES)
    text = run(program("helm"), "template", "agentherd", chart, *place, *words)
    said: str = yaml.safe_load(text)["notes"]
    return said


@pytest.mark.parametrize(
    ("known", "left_out"),
    [
        ((), "PodMonitor, PrometheusRule."),
        ((MONITOR,), "PrometheusRule."),
        ((RULE,), "PodMonitor."),
    ],
    ids=["both", "rule", "monitor"],
)
def test_what_was_asked_for_and_left_out_is_told(
    chart: Path, known: tuple[str, ...], left_out: str
) -> None:
    """With what would help; silence would be found out when an alert was missed."""
    lines = told(chart, known=known).splitlines()

    assert f"Left out, as the API server does not know the kind: {left_out}" in lines
    assert "  helm -n ops upgrade agentherd helm/agentherd --reset-then-reuse-values" in lines


@pytest.mark.parametrize(
    ("settings", "known"),
    [(("monitoring.enabled=false",), ()), ((), (MONITOR, RULE))],
    ids=["not asked for", "made"],
)
def test_nothing_is_told_where_nothing_is_left_out(
    chart: Path, settings: tuple[str, ...], known: tuple[str, ...]
) -> None:
    """Whoever has no Prometheus Operator says so once."""
    assert "Left out" not in told(chart, *settings, known=known)
