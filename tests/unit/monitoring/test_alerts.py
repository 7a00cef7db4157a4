"""The alert rules: they load, fire when they should, name what there is, and say what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from devcluster.packages import promtool
from devcluster.progress import Progress
from prometheus_client import generate_latest
from tests.unit.monitoring.expressions import REPOSITORY, unknown_metrics

from agentherd.engine.audit import Audit
from agentherd.engine.metrics import Metrics
from agentherd.engine.reconciler import RESULTS

RULES: Final = REPOSITORY / "helm/agentherd/files/alerts.yaml"
CASES: Final = Path(__file__).parent / "alerts.yaml"

ALERTS: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
SEVERITIES: Final = {"critical", "warning", "info"}


@pytest.fixture(scope="session")
def tool() -> Path:
    return promtool(Progress())


def run(tool: Path, *words: str | Path, given: str | None = None) -> str:
    """What promtool says, which has to be content."""
    done = subprocess.run(
        [tool, *words], input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_fire_when_they_should(tool: Path, tmp_path: Path) -> None:
    """And not before, nor for less."""
    shutil.copy(RULES, tmp_path / "alerts-under-test.yaml")
    shutil.copy(CASES, tmp_path / "cases.yaml")

    assert "SUCCESS" in run(tool, "test", "rules", tmp_path / "cases.yaml")


def test_prometheus_takes_the_rules(tool: Path) -> None:
    """Without a word of warning."""
    assert f"{len(ALERTS)} rules found" in run(tool, "check", "rules", "--lint-fatal", RULES)


def test_every_alert_is_tried_and_kept_silent() -> None:
    """One that never fires in a test may never fire at all, and one that always does is noise."""
    text = CASES.read_text(encoding="utf-8")
    tried = yaml.safe_load(text)["tests"]
    found = [case for test in tried for case in test["alert_rule_test"]]

    for alert in ALERTS:
        outcomes = {bool(c["exp_alerts"]) for c in found if c["alertname"] == alert["alert"]}
        assert outcomes == {True, False}, alert["alert"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_names_metrics_that_exist(alert: dict[str, Any]) -> None:
    """One about a metric that was renamed would be silent for ever."""
    assert unknown_metrics(alert["expr"]) == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_has_a_runbook(alert: dict[str, Any]) -> None:
    """With its name in the title, what it means and what to do."""
    page = REPOSITORY / alert["annotations"]["runbook"]
    text = page.read_text(encoding="utf-8")

    assert text.startswith(f"# {alert['alert']}\n")
    assert re.findall("^## (.+)$", text, re.MULTILINE) == ["What it means", "Look", "Do"]
    assert f"`{alert['labels']['severity']}`" in text
    assert alert["labels"]["severity"] in SEVERITIES


def test_every_runbook_belongs_to_an_alert() -> None:
    """One whose alert is gone goes as well."""
    named = {alert["annotations"]["runbook"] for alert in ALERTS}
    pages = (REPOSITORY / "docs/runbooks").glob("*.md")

    assert {f"docs/runbooks/{page.name}" for page in pages} - {"docs/runbooks/README.md"} == named


def test_the_metrics_are_as_prometheus_wants_them(tool: Path) -> None:
    """Names, units and help texts, with a series of everything."""
    metrics = Metrics()
    Audit(metrics, clock=lambda: pytest.fail("nothing is told"))
    metrics.observe_request("APPLY", "services", 200)
    for result in RESULTS:
        metrics.reconciles.labels(kind="Agent", result=result).inc()
    metrics.reconcile_seconds.labels(kind="Agent").observe(0.1)
    metrics.rollback_seconds.labels(trigger="Crash").observe(1)

    assert run(tool, "check", "metrics", given=generate_latest(metrics.registry).decode()) == ""


def test_the_how_to_lists_every_alert() -> None:
    """With its severity and the page about it."""
    page = (REPOSITORY / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    row = r"^\| \[(\w+)\]\(\.\./(runbooks/[\w-]+\.md)\) \| (\w+) \|"
    rows = re.findall(row, page, re.MULTILINE)

    assert sorted(rows) == sorted(
        (a["alert"], a["annotations"]["runbook"].removeprefix("docs/"), a["labels"]["severity"])
        for a in ALERTS
    )
