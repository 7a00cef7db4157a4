"""An upgrade that is judged by metrics of people's own, from its first question to its end."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Forbidden, Invalid
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, JOB, SERVICE, Key

GREETER: Final = Key("default", "greeter")
QUALITY: Final = {
    "name": "quality",
    "minimum": 0.8,
    "intervalSeconds": 1,
    "http": {"url": "http://judge:8080/$(CANARY_REVISION)", "pointer": "/score"},
}
SMOKE: Final = {
    "name": "smoke",
    "job": {"template": {"spec": {"containers": [{"name": "try", "image": "try:1"}]}}},
}
CANARY: Final = {
    "type": "Canary",
    "canary": {"steps": [{"weight": 50, "pause": {"seconds": 5}}]},
}


class Life:
    """An Agent of two pods that is changed, and the operators that look after it."""

    def __init__(self, *metrics: dict[str, Any], strategy: dict[str, Any] = CANARY) -> None:
        policy = strategy | {"analysis": {"metrics": metrics}}
        self._spec: dict[str, Any] = {"replicas": 2, "upgradePolicy": policy}
        self.twin = Twin(loop_clock)
        self.controllers = Controllers(self.twin)
        self.rig = Rig(self.twin, controllers=self.controllers)

    async def begin(self) -> None:
        """Until the first version is stable and the second one asked for."""
        self.twin.put(AGENT, raw_agent(image="agent:1", **self._spec))
        await self.work(seconds=3)
        changed = raw_agent(image="agent:2", **self._spec)["spec"]
        self.twin.edit(AGENT, "greeter", {"spec": changed}, manager="kubectl")

    async def work(self, *, seconds: int) -> None:
        for _ in range(seconds):
            for _ in range(8):
                self.rig.feed()
                await self.rig.work()
                self.controllers.settle()
                await asyncio.sleep(0)
            await asyncio.sleep(1)

    def restart(self) -> None:
        """Another process, which knows what the API server knows."""
        known = self.rig.sources.known
        self.rig = Rig(self.twin, controllers=self.controllers)
        self.rig.sources.known |= known

    def end(self, kind: str, *, reason: str = "") -> None:
        """The Job ends so."""
        (job,) = self.twin.names(JOB)
        condition = {
            "type": kind,
            "status": "True",
            "reason": reason,
            "lastTransitionTime": loop_clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.twin.edit(JOB, job, {"status": {"conditions": [condition]}}, manager="job")

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.twin.live(AGENT_UPGRADE, "greeter-2")["status"]
        return found

    @property
    def phase(self) -> str:
        phase: str = self.status["phase"]
        return phase

    def measured(self, name: str) -> dict[str, Any]:
        metrics = self.status["analysis"]["metrics"]
        found: dict[str, Any] = next(each for each in metrics if each["name"] == name)
        return found


async def test_a_version_that_measures_well_is_promoted() -> None:
    life = Life(QUALITY)
    life.rig.sources.known["quality"] = 0.9
    await life.begin()

    await life.work(seconds=25)

    assert life.phase == "Succeeded"
    assert life.measured("quality")["verdict"] == "Pass"


async def test_a_version_that_measures_badly_often_enough_is_rolled_back() -> None:
    life = Life(QUALITY)
    life.rig.sources.known["quality"] = 0.1
    await life.begin()

    await life.work(seconds=25)

    record = life.status["rollback"]
    assert (life.phase, record["trigger"]) == ("RolledBack", "MetricFailed")
    assert "quality: 0.1 is below the minimum of 0.8" in record["reason"]
    assert life.measured("quality")["failures"] == 3
    assert not life.rig.sources.asked[GREETER]


async def test_a_dry_run_measures_and_rolls_nothing_back() -> None:
    life = Life(QUALITY | {"dryRun": True})
    life.rig.sources.known["quality"] = 0.1
    await life.begin()

    await life.work(seconds=25)

    assert life.phase == "Succeeded"
    assert life.measured("quality")["verdict"] == "Fail"


@pytest.mark.parametrize(
    ("strategy", "weight"), [(CANARY, 50), ({"type": "BlueGreen"}, 0)], ids=["canary", "blue-green"]
)
async def test_no_data_is_not_bad_data(strategy: dict[str, Any], weight: int) -> None:
    """The step is held for as long as that lasts, and the condition says why; then it goes on."""
    life = Life(QUALITY, strategy=strategy)
    life.rig.sources.known["quality"] = "cannot connect to judge: Connection refused"
    await life.begin()

    await life.work(seconds=60)
    held = life.status
    life.rig.sources.known["quality"] = 0.9
    await life.work(seconds=10)

    progressing = next(c for c in held["conditions"] if c["type"] == "Progressing")
    assert held["phase"] == "Paused"
    assert (held["weight"], progressing["reason"]) == (weight, "Inconclusive")
    assert "quality: cannot connect to judge: Connection refused" in progressing["message"]
    assert "rollback" not in held
    assert life.phase == "Succeeded"


async def test_a_metric_is_measured_once_in_each_interval() -> None:
    """However often the upgrade is looked at."""
    life = Life(QUALITY | {"intervalSeconds": 10})
    life.rig.sources.known["quality"] = "down"
    await life.begin()

    await life.work(seconds=45)

    measurements = life.measured("quality")["measurements"]
    times = [datetime.fromisoformat(each["at"]) for each in measurements]
    assert {(later - sooner).seconds for sooner, later in pairwise(times)} == {10}


async def test_a_source_that_is_slow_keeps_nobody_busy() -> None:
    """Its answer wakes who waits for it; who asked for it all the time would let none come."""
    life = Life(QUALITY, strategy=CANARY | {"canary": {"steps": [{"weight": 50, "pause": {}}]}})
    life.rig.sources.known["quality"] = 0.9
    await life.begin()
    await life.work(seconds=10)

    life.rig.sources.known.clear()
    await life.work(seconds=2)

    assert life.measured("quality")["verdict"] == "Pass"
    assert life.rig.sources.asked[GREETER]
    assert (plan := life.rig.plan()).wake_at is None or plan.wake_at > loop_clock()


async def test_a_tester_is_waited_for_beyond_the_deadline_of_pods() -> None:
    """All pods are there, so nothing is late, and time alone brings nothing."""
    life = Life(SMOKE, strategy={"type": "RollingUpdate", "progressDeadlineSeconds": 10})
    await life.begin()

    await life.work(seconds=40)

    assert life.phase == "Promoting"
    assert (plan := life.rig.plan()).wake_at is None or plan.wake_at > loop_clock()


async def test_a_killed_operator_measures_again_and_counts_nothing_twice() -> None:
    """What was answered and not written down is lost with the process, and asked again."""
    life = Life(QUALITY | {"failureLimit": 100})
    life.rig.sources.known["quality"] = 0.1
    await life.begin()
    await life.work(seconds=6)

    for _ in range(10):
        life.restart()
        await life.work(seconds=1)

    times = [m["at"] for m in life.measured("quality")["measurements"]]
    assert life.measured("quality")["failures"] <= 16
    assert len(times) == len(set(times))


@pytest.mark.parametrize(
    "strategy",
    [CANARY, {"type": "BlueGreen"}, {"type": "RollingUpdate"}],
    ids=["canary", "blue-green", "rolling"],
)
@pytest.mark.parametrize(
    ("end", "phase"), [("Complete", "Succeeded"), ("Failed", "RolledBack")], ids=["pass", "fail"]
)
async def test_the_end_of_a_tester_decides(strategy: dict[str, Any], end: str, phase: str) -> None:
    """In every strategy, at an address at which only the new version answers."""
    life = Life(SMOKE, strategy=strategy)
    await life.begin()
    await life.work(seconds=15)
    waiting, services = life.phase, life.twin.names(SERVICE)

    life.end(end, reason="BackoffLimitExceeded")
    await life.work(seconds=20)

    (job,) = life.twin.names(JOB)
    assert (job, waiting in {"Paused", "Progressing", "Promoting"}) == ("greeter-2-smoke-1", True)
    environment = life.twin.live(JOB, job)["spec"]["template"]["spec"]["containers"][0]["env"]
    told = {each["name"]: each["value"] for each in environment}
    assert told["AGENTHERD_CANARY_SERVICE"] in services
    assert life.phase == phase
    if end == "Failed":
        record = life.status["rollback"]
        assert record["trigger"] == "TestFailed"
        assert "Job greeter-2-smoke-1 has failed: BackoffLimitExceeded" in record["reason"]


async def test_what_waits_for_a_tester_says_so() -> None:
    life = Life(SMOKE)
    await life.begin()

    await life.work(seconds=15)

    progressing = next(c for c in life.status["conditions"] if c["type"] == "Progressing")
    assert progressing["reason"] == "Inconclusive"
    assert "smoke: its Job has not ended yet" in progressing["message"]


async def test_a_tester_is_run_once_whoever_looks() -> None:
    life = Life(SMOKE)
    await life.begin()
    for _ in range(10):
        await life.work(seconds=1)
        life.restart()
    life.end("Complete")
    await life.work(seconds=2)
    life.twin.remove(JOB, "greeter-2-smoke-1")
    await life.work(seconds=20)

    made = [r for r in life.twin.requests if r.kind is JOB and r.verb == "APPLY"]
    assert (life.phase, len(made)) == ("Succeeded", 1)


async def test_a_tester_that_still_runs_is_ended_with_its_attempt() -> None:
    life = Life(SMOKE, QUALITY)
    life.rig.sources.known["quality"] = 0.1
    await life.begin()

    await life.work(seconds=25)

    assert life.phase == "RolledBack"
    assert not life.twin.names(JOB)


async def test_a_tester_that_is_refused_holds_and_is_told() -> None:
    life = Life(SMOKE)
    life.twin.refusals["Job", "greeter-2-smoke-1"] = Invalid("spec.template: no such image")
    await life.begin()

    await life.work(seconds=40)

    message = next(c for c in life.status["conditions"] if c["type"] == "Progressing")["message"]
    assert life.phase == "Paused"
    assert "spec.template: no such image" in message


async def test_a_tester_that_is_refused_is_no_error_of_the_agent_that_serves() -> None:
    """As with all that a new version is judged by: the upgrade tells of it."""
    life = Life(SMOKE)
    life.twin.refusals["Job", "greeter-2-smoke-1"] = Forbidden("exceeded quota")
    await life.begin()

    await life.work(seconds=40)

    told = life.twin.live(AGENT, "greeter")["status"]
    assert (told["phase"], told["errorCount"]) == ("Deploying", 0)
