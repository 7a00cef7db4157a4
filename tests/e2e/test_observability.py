"""What is told of an upgrade that succeeds, of one that is rolled back, and of an Agent in error.

All of it happens once, to one operator that logs as JSON, and is then looked at from every side:
the metrics before and after, the log, and what is left when the Events have gone.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from devcluster.packages import promtool
from devcluster.progress import Progress
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.cluster import Object
from tests.e2e.collector import Collector, collecting
from tests.e2e.operator_process import ROOT, Operator
from tests.e2e.test_upgrade_words import (
    broken,
    canary,
    change,
    quiet,
    steer,
    step,
    wait_at_step,
    wait_for_end,
)
from tests.e2e.watcher import watching
from tests.e2e.world import SOON, USER, World

Numbers = dict[str, float]

COUNTERS: Final = {
    'agentherd_upgrades_finished_total{kind="Agent",outcome="Succeeded"}': 1,
    'agentherd_upgrades_finished_total{kind="Agent",outcome="RolledBack"}': 1,
    'agentherd_rollbacks_total{trigger="ImageUnavailable"}': 1,
    'agentherd_rollback_seconds_count{trigger="ImageUnavailable"}': 1,
    'agentherd_upgrade_seconds_count{outcome="Succeeded"}': 1,
    'agentherd_transitions_total{kind="AgentUpgrade",phase="Succeeded"}': 1,
    'agentherd_transitions_total{kind="AgentUpgrade",phase="RolledBack"}': 1,
    'agentherd_transitions_total{kind="Agent",phase="Error"}': 1,
}
"""By how much each is moved."""


@dataclass(frozen=True)
class Story:
    """What was seen while it happened; the upgrades are a good and a bad one."""

    good: Object
    bad: Object
    before: Numbers
    in_between: Numbers
    exposition: str
    lines: list[dict[str, Any]]

    def told_of(self, upgrade: Object) -> list[dict[str, Any]]:
        """The lines that belong to an upgrade."""
        uid = upgrade["metadata"]["uid"]
        return [line for line in self.lines if line["correlationId"] == uid]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def story(shared_world: World, collector: Collector) -> Story:
    world = shared_world
    operator = world.operator
    operator.stop()
    begin = operator.log.stat().st_size
    operator.configure(AGENTHERD_LOG_FORMAT="json", AGENTHERD_TRACES_TO=collector.url)
    operator.start()
    before = _numbers(operator.get("/metrics")[1])
    world.apply(quiet("told", upgradePolicy=canary(step(50))))
    world.apply(quiet("lost", template=broken()))
    world.wait_until_ready("told")

    good = change(world, "told", version="2.0.0")
    wait_at_step(world, good, 1)
    in_between = _numbers(operator.get("/metrics")[1])
    steer(world, good, promote={"full": True})
    wait_for_end(world, good)
    bad = change(world, "told", version="3.0.0", template=broken())
    wait_for_end(world, bad)
    world.wait_for_phase("lost", "Error")

    # Who watches may see an end before the operator has the answer to what it has written.
    operator.wait_until(lambda: _has_counted(operator), within=SOON)
    exposition = operator.get("/metrics")[1]
    operator.stop()
    lines = operator.log.read_bytes()[begin:].decode().splitlines()
    operator.start()
    return Story(
        good=world.upgrade(good),
        bad=world.upgrade(bad),
        before=before,
        in_between=in_between,
        exposition=exposition,
        lines=[json.loads(line) for line in lines],
    )


@pytest.mark.row("K01")
def test_k01_counters_move_by_what_has_happened(story: Story) -> None:
    """One success, one rollback, one Agent in error; nothing is counted twice."""
    after = _numbers(story.exposition)

    moved = {name: after[name] - story.before.get(name, 0) for name in COUNTERS}

    assert moved == COUNTERS
    assert after['agentherd_agents{phase="Error"}'] == 1
    assert after['agentherd_reconciles_total{kind="Agent",result="bug"}'] == 0


@pytest.mark.row("K01")
def test_k01_the_weight_of_an_upgrade_is_told_while_it_runs(
    story: Story, shared_world: World
) -> None:
    """And no longer: the number of series does not grow with the number of upgrades."""
    name = story.good["metadata"]["name"]
    labels = f'kind="Agent",name="{name}",namespace="{shared_world.namespace}",target="told"'

    assert story.in_between[f"agentherd_upgrade_weight_ratio{{{labels}}}"] == 0.5
    assert 'name="told-' not in story.exposition


@pytest.mark.row("K01")
def test_k01_promtool_has_no_objection(story: Story) -> None:
    """To names, units, help texts and types."""
    done = _promtool("check", "metrics", given=story.exposition)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.row("K02")
def test_k02_every_line_parses_and_has_the_same_keys(story: Story) -> None:
    """From the first word of the process to its last; the lines were parsed to get here."""
    keys = {frozenset(line) for line in story.lines}

    assert len(keys) == 1
    assert {line["level"] for line in story.lines} <= {"info", "warning"}


@pytest.mark.row("K02")
def test_k02_one_id_leads_through_all_phases_of_an_upgrade(story: Story) -> None:
    """Those of the upgrade and those of its Agent, and nothing of another upgrade."""
    for upgrade, end in ((story.good, "Succeeded"), (story.bad, "RolledBack")):
        lines = story.told_of(upgrade)
        own = [line for line in lines if line["kind"] == "AgentUpgrade"]
        entered = [line for line in own if line["action"] in {"PhaseChanged", "StepTaken"}]
        history = upgrade["status"]["history"]

        assert [line["reason"] for line in entered] == [entry["reason"] for entry in history]
        assert [line["at"] for line in entered] == [_at(entry) for entry in history]
        assert f"to {end}" in entered[-1]["message"]
        assert {line["name"] for line in own} == {upgrade["metadata"]["name"]}
        assert {line["kind"] for line in lines} == {"Agent", "AgentUpgrade"}


def test_a_collector_is_sent_a_trace_of_each_upgrade(story: Story, collector: Collector) -> None:
    """One span for the whole, with its end, and one for each part of it, without a gap."""
    for upgrade, failure in ((story.good, ""), (story.bad, "ImageUnavailable")):
        *parts, whole = collector.trace(upgrade["metadata"]["uid"])

        assert whole.name == "upgrade told"
        assert whole.status.message.startswith(failure)
        assert bool(whole.status.message) is bool(failure)
        assert len(parts) == len(upgrade["status"]["history"])
        assert {part.parent_span_id for part in parts} == {whole.span_id}
        assert parts[0].start_time_unix_nano == whole.start_time_unix_nano
        for earlier, later in pairwise(parts):
            assert earlier.end_time_unix_nano == later.start_time_unix_nano
        assert parts[-1].end_time_unix_nano == whole.end_time_unix_nano


@pytest.mark.row("L03")
def test_l03_all_of_it_is_still_known_when_the_events_have_gone(
    story: Story, shared_world: World
) -> None:
    """Who, what, why and when, in the status of the objects and in the log."""
    world = shared_world
    deleted = world.kubectl("delete", "events.events.k8s.io", "--all")
    assert deleted.code == 0, deleted.err

    agent, good, bad = world.get("Agent", "told"), *map(world.upgrade, _names(story))

    for entry in agent["status"]["history"]:
        assert all(entry[key] for key in ("triggeredBy", "reason", "to", "at"))
    assert {entry["triggeredBy"] for entry in agent["status"]["history"]} == {USER, "agentherd"}
    for upgrade in (good, bad):
        assert upgrade["metadata"]["annotations"]["agentherd.dev/requested-by"] == USER
        assert story.told_of(upgrade)[1]["actor"] == USER
    assert [done["verb"] for done in good["status"]["controls"]] == ["Promoted"]
    assert bad["status"]["rollback"]["trigger"] == "ImageUnavailable"
    assert {line["action"] for line in story.told_of(good)} >= {"Requested", "Promoted"}


@pytest.mark.row("K06")
def test_k06_a_prometheus_takes_the_rules_and_finds_the_agent_in_error(
    story: Story, shared_world: World, tmp_path: Path
) -> None:
    """The expression of the alert is true there, as that of a rollback would be."""
    rules = ROOT / "helm/agentherd/files/alerts.yaml"
    alerts = {
        rule["alert"]: rule["expr"]
        for group in yaml.safe_load(rules.read_text())["groups"]
        for rule in group["rules"]
    }
    operator = shared_world.operator
    operator.wait_until(lambda: operator.metric("agentherd_agents", phase="Error") == 1, within=30)
    operator.wait_until(lambda: operator.metric("agentherd_leader") == 1, within=30)

    with watching(operator, rules=rules, directory=tmp_path) as asked:
        found = asked.until(alerts["AgentherdAgentInError"])
        loaded = {rule["name"] for rule in asked.rules()}
        # One look that came too late for Prometheus is no alert: that takes two minutes.
        operator.wait_until(
            lambda: not asked(alerts["AgentherdDown"]) + asked(alerts["AgentherdNoLeader"]),
            within=SOON,
        )

    assert found[0]["value"][1] == "1"
    assert loaded == set(alerts)


def _has_counted(operator: Operator) -> bool:
    """Whether the operator has counted the end of both upgrades and the Agent in error."""
    ends = (("AgentUpgrade", "Succeeded"), ("AgentUpgrade", "RolledBack"), ("Agent", "Error"))
    return all(
        operator.metric("agentherd_transitions_total", kind=kind, phase=phase) >= 1
        for kind, phase in ends
    )


def _names(story: Story) -> tuple[str, str]:
    return story.good["metadata"]["name"], story.bad["metadata"]["name"]


def _at(entry: Object) -> str:
    """The time of an entry as the log writes it."""
    return str(entry["at"]).replace("Z", "+00:00")


def _numbers(exposition: str) -> Numbers:
    """The values of all series, by name and sorted labels."""
    return {
        _series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def _series(name: str, labels: Mapping[str, str]) -> str:
    told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{told}}}"


def _promtool(*words: str, given: str) -> subprocess.CompletedProcess[str]:
    tool = promtool(Progress())
    return subprocess.run(
        [tool, *words], input=given, capture_output=True, text=True, check=False, timeout=60
    )
