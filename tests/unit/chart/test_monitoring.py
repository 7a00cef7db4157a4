"""What the chart gives to a Prometheus Operator and to a Grafana."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from tests.installing.rendering import CHART, PROMETHEUS_OPERATOR, Objects, chart

VALUES = CHART / "ci/monitored-values.yaml"


def monitored(values: Path = VALUES) -> Objects:
    """The chart on an API server that knows the kinds of the Prometheus Operator."""
    return chart(values=values, known=PROMETHEUS_OPERATOR)


def test_the_processes_are_found_by_their_labels() -> None:
    """On the port that they have, and nothing else is collected with them."""
    monitor = monitored()["PodMonitor", "agentherd", "agentherd"]
    pod = monitored()["Deployment", "agentherd", "agentherd"]["spec"]["template"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]

    ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
    assert endpoint["port"] in ports
    assert endpoint["honorLabels"]
    labels = monitor["spec"]["selector"]["matchLabels"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_labels_for_a_prometheus_stand_above_those_for_all() -> None:
    """As those of the pods do, and on nothing else."""
    found = monitored(CHART / "ci/repeated-labels-values.yaml")

    team = {
        kind: found[kind, "agentherd", "agentherd"]["metadata"]["labels"]["example.com/team"]
        for kind in ("PodMonitor", "PrometheusRule", "Deployment")
    }
    assert team == {
        "PodMonitor": "watchers",
        "PrometheusRule": "watchers",
        "Deployment": "herders",
    }


def test_the_rules_arrive_as_they_were_tried() -> None:
    """Helm takes nothing out of them, though they have braces of their own."""
    rule = monitored()["PrometheusRule", "agentherd", "agentherd"]

    assert rule["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_the_dashboard_arrives_as_it_is() -> None:
    """In a ConfigMap that a Grafana looks for."""
    found = monitored()["ConfigMap", "agentherd", "agentherd-dashboard"]

    given = json.loads(found["data"]["agentherd.json"])
    assert given == json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_a_collector_is_named_to_the_operator_only_where_there_is_one() -> None:
    """Traces are off unless somebody wants them."""
    wanted, plain = (
        each["Deployment", "agentherd", "agentherd"]["spec"]["template"]["spec"]["containers"][0]
        for each in (monitored(), chart())
    )

    assert "--traces-to=http://collector.monitoring.svc:4318" in wanted["args"]
    assert not [word for word in plain["args"] if word.startswith("--traces-to")]


def test_kinds_that_the_server_does_not_know_are_left_out() -> None:
    """An install on a cluster without a Prometheus Operator works all the same."""
    kinds = {kind for kind, _, _ in chart(values=VALUES)}

    assert not kinds & {"PodMonitor", "PrometheusRule"}
