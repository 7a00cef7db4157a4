"""What the operator's own endpoints tell, and how fast it decides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.fleet import each, names, podless, wait_until_settled
from tests.e2e.operator_process import ROOT
from tests.e2e.world import World

FLEET: Final = 210
TRANSITIONS: Final = 200
REPORT: Final = ROOT / ".cache" / "e2e" / "transition-seconds.json"


@pytest.mark.row("K03")
def test_k03_the_endpoints_tell_of_a_process_that_works(world: World) -> None:
    """Alive, ready, and metrics that Prometheus can read, with a help text for each."""
    world.apply(podless("a"))
    wait_until_settled(world, ["a"], within=15)
    _wait_until_idle(world, done=1)

    status, text = world.operator.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert status == 200
    assert world.operator.get("/healthz") == (200, "ok")
    assert world.operator.get("/readyz") == (200, "ok")
    assert world.operator.get("/nothing")[0] == 404
    for name in ("agentherd_api_requests", "agentherd_objects", "agentherd_reconciles"):
        assert families[name].samples, name
    for family in families.values():
        assert family.documentation, family.name
    assert world.operator.metric("agentherd_agents", phase="Offline") == 1
    assert world.operator.metric("agentherd_objects", kind="Service") == 1
    assert world.operator.metric("agentherd_leader") == 1


@pytest.mark.row("N01")
def test_n01_transitions_are_decided_at_once(world: World) -> None:
    """From the event to the acknowledged status, over more than 200 changes of the mode."""
    fleet = names("a", FLEET)
    each(lambda name: world.apply(podless(name)), fleet)
    wait_until_settled(world, fleet, within=60)
    _wait_until_idle(world, done=FLEET)
    before = _buckets(world)

    each(lambda name: world.change(name, operatingMode="Suspended"), fleet, writers=1)
    found = wait_until_settled(world, fleet, within=60)
    # A turn is counted when it has ended, which is after its status can be seen.
    world.operator.wait_until(
        lambda: _buckets(world)[math.inf] - before[math.inf] >= TRANSITIONS, within=60
    )

    after = _buckets(world)
    observed = {bound: count - before[bound] for bound, count in after.items()}
    report = {
        "row": "N01",
        "metric": "agentherd_transition_seconds",
        "observations": observed[math.inf],
        **{f"p{share}": _quantile(observed, share / 100) for share in (50, 95, 99)},
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    assert {item["status"]["phase"] for item in found.values()} == {"Suspended"}
    assert observed[math.inf] >= TRANSITIONS


def _wait_until_idle(world: World, *, done: int) -> None:
    """Wait until so many reconciliations have ended and none is waiting or under way."""
    children = len(("ConfigMap", "ControllerRevision", "ReplicaSet", "Service", "ServiceAccount"))
    operator = world.operator
    operator.wait_until(
        lambda: (
            operator.metric("agentherd_reconciles_total", result="done") >= done
            and operator.metric("agentherd_queue_depth") == 0
            and operator.metric("agentherd_objects") >= done * (children + 1)
        ),
        within=60,
    )


def _buckets(world: World) -> dict[float, float]:
    """Observations so far, by the upper bound of their bucket, cumulative."""
    _, text = world.operator.get("/metrics")
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "agentherd_transition_seconds_bucket" and sample.labels["kind"] == "Agent"
    }


def _quantile(buckets: Mapping[float, float], share: float) -> float:
    """As Prometheus' histogram_quantile: linear within the bucket."""
    wanted = share * buckets[math.inf]
    low, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low
