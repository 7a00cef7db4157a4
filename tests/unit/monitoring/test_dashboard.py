"""The dashboard: what Grafana is given can be drawn, and shows metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from devcluster.packages import promtool
from devcluster.progress import Progress
from tests.unit.monitoring.expressions import REPOSITORY, SERIES, metrics_in, unknown_metrics

BOARD: Final[dict[str, Any]] = json.loads(
    (REPOSITORY / "helm/agentherd/files/dashboard.json").read_text(encoding="utf-8")
)
PANELS: Final = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS: Final = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(each["expr"] for each in BOARD["annotations"]["list"]),
]
VARIABLES: Final = [each for each in BOARD["templating"]["list"] if each["type"] == "query"]


def plain(expression: str) -> str:
    """The expression as Grafana sends it, with everything chosen."""
    return re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "5m"))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    """A panel of a metric that was renamed is empty, and nobody can tell why."""
    assert metrics_in(expression)
    assert unknown_metrics(expression) == set()


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    """As rules, which promtool can read."""
    rules = [
        {"record": f"panel:{number}", "expr": plain(expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    tool = promtool(Progress())
    done = subprocess.run(
        [tool, "check", "rules", path], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_has_values() -> None:
    """Of labels of metrics that there are, and each is used."""
    text = "".join(EXPRESSIONS)
    for variable in VARIABLES:
        query = variable["query"]["query"]
        assert unknown_metrics(query) == set()
        assert f"${variable['name']}" in text


def test_every_metric_is_shown() -> None:
    """What is worth counting is worth being seen."""
    shown = {
        re.sub("_(bucket|count|sum)$", "", name) for e in EXPRESSIONS for name in metrics_in(e)
    }
    known = {re.sub("_(bucket|count|sum)$", "", name) for name in SERIES}

    assert known - shown == set()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_panel_is_explained_and_has_a_unit(panel: dict[str, Any]) -> None:
    """And takes its data from the source that was chosen."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}


def test_no_panel_covers_another() -> None:
    """On a grid of 24 columns."""
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for one, other in combinations((panel["gridPos"] for panel in BOARD["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in BOARD["panels"])
