"""The new version is judged while it serves: what is worse goes back, what is unknown stays.

All of it under requests through the Gateway, which the sample agent answers as its config says. Its
work takes nearly a second where latencies are compared, so that what a busy machine adds is little
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e.cluster import Object
from tests.e2e.sample import agent
from tests.e2e.served import (
    HEALTH,
    canary,
    change,
    load,
    promote,
    routed,
    step,
    wait_for_weight,
    wait_until_sent,
)
from tests.e2e.world import START, World, condition, revision

RATE: Final = 40.0
SOON: Final = {"intervalSeconds": 1, "warmUpSeconds": 2}
HALF: Final = canary(step(50, seconds=20), analysis=SOON)
WAITING: Final = canary(step(50, waits=True), analysis=SOON)
UNHURRIED: Final = {"latencySeconds": "0.8"}
ENDS: Final = 120.0
LASTS: Final = 2 * ENDS
"""Seconds after which the requests end of a test that has not ended before."""


def analysis(upgrade: Object) -> dict[str, Any]:
    """What is said of the new version; {} before anything is."""
    found: dict[str, Any] = upgrade.get("status", {}).get("analysis") or {}
    return found


def message(upgrade: Object) -> str:
    """The sentence of the verdict, which the condition has too."""
    found = condition(upgrade, "Analyzed")
    return found["message"] if found else ""


@contextmanager
def changed_under_load(
    world: World,
    directory: Path,
    *,
    before: dict[str, str] | None = None,
    policy: Object = HALF,
    rate: float = RATE,
    **spec: Any,
) -> Iterator[str]:
    """The name of an upgrade of an Agent that is asked all the time."""
    world.apply(routed(world, "a", upgradePolicy=policy, config=before or {}))
    world.wait_until_ready("a")
    with load(world, "a", directory, rate=rate, seconds=LASTS) as running:
        upgrade = change(world, "a", **spec)
        yield upgrade
        wait_until_sent(world, running, 1)


# What is worse


@pytest.mark.row("G04")
def test_g04_a_version_that_fails_requests_is_rolled_back(world: World, tmp_path: Path) -> None:
    """The sentence has the numbers of both versions, and the Event comes with it."""
    with changed_under_load(world, tmp_path, config={"errorRate": "0.5"}) as upgrade:
        found = world.wait_upgrade(upgrade, "RolledBack", within=ENDS)

    record = found["status"]["rollback"]
    counted = analysis(found)
    assert record["trigger"] == "ErrorRate"
    assert record["reason"] == message(found) == counted["message"]
    assert "the new version fails more often: errors" in record["reason"]
    assert (counted["verdict"], counted["score"]["total"]) == ("Fail", 700)
    assert counted["canary"]["errors"] > counted["stable"]["errors"] == 0


@pytest.mark.row("G04")
def test_g04_a_version_that_is_slower_by_a_quarter_is_rolled_back(
    world: World, tmp_path: Path
) -> None:
    """The limit is a fifth; the busier the machine, the longer it takes to be sure."""
    slower = {"latencySeconds": "1.0"}

    with changed_under_load(
        world, tmp_path, before=UNHURRIED, policy=WAITING, config=slower
    ) as upgrade:
        found = world.wait_upgrade(upgrade, "RolledBack", within=ENDS)

    assert found["status"]["rollback"]["trigger"] == "PerformanceImpact"
    assert "the new version is slower" in message(found)


@pytest.mark.row("G04")
def test_g04_a_version_that_is_slower_by_less_than_a_fifth_is_promoted(
    world: World, tmp_path: Path
) -> None:
    """Fifteen percent are allowed."""
    slower = {"latencySeconds": "0.92"}

    with changed_under_load(world, tmp_path, before=UNHURRIED, config=slower) as upgrade:
        found = world.wait_upgrade(upgrade, "Succeeded", within=ENDS)

    assert analysis(found)["verdict"] == "Pass"
    assert analysis(found)["canary"]["timed"] > 100


@pytest.mark.row("G02")
def test_g02_a_probe_that_fails_does_not_wait_for_a_verdict(world: World, tmp_path: Path) -> None:
    """However good the numbers are."""
    policy = canary(step(50, waits=True), analysis=SOON)
    config = {"probeFailAfterSeconds": "20"}

    with changed_under_load(world, tmp_path, policy=policy, config=config) as upgrade:
        found = world.wait_upgrade(upgrade, "RolledBack", within=ENDS)

    assert found["status"]["rollback"]["trigger"] == "HealthProbe"
    assert analysis(found)["score"]["total"] < 700


def test_a_version_that_leaks_is_given_up_for_its_memory(world: World, tmp_path: Path) -> None:
    """Though its probe may fail before the kubelet tells how the container has ended."""
    policy = canary(step(50, waits=True), analysis=SOON, abortScaleDownDelaySeconds=60)
    config = {"memoryLeakMBPerSecond": "10"}

    with changed_under_load(world, tmp_path, policy=policy, config=config) as upgrade:
        world.wait_upgrade(upgrade, "RolledBack", within=ENDS)
        found = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: seen["status"]["rollback"]["trigger"] == "OutOfMemory",
            within=START,
        )

    assert "more memory than its limit (OOMKilled)" in found["status"]["rollback"]["reason"]


@pytest.mark.row("G03")
def test_g03_bad_feedback_alone_rolls_nothing_back(world: World, tmp_path: Path) -> None:
    """It makes 300 of 1000; 700 roll back."""
    complaint = {"from": "me", "rating": 1, "comment": "I liked the old one"}

    with changed_under_load(world, tmp_path, before=UNHURRIED, policy=WAITING) as upgrade:
        wait_for_weight(world, upgrade, 50)
        world.patch("AgentUpgrade", upgrade, {"spec": {"feedback": [complaint]}})
        told = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: analysis(seen).get("score", {}).get("total") == 300,
            within=ENDS,
        )
        promote(world, upgrade, full=True)
        world.wait_upgrade(upgrade, "Succeeded", within=ENDS)

    assert analysis(told)["score"] == {"feedback": 1000, "system": 0, "total": 300}
    assert "feedback 1 of 5 from 1, score 300 of the 700" in message(told)


@pytest.mark.row("G03")
def test_g03_errors_roll_back_what_everybody_praises(world: World, tmp_path: Path) -> None:
    """Proof alone is exactly 700, and that is enough."""
    world.apply(routed(world, "a", upgradePolicy=WAITING))
    world.wait_until_ready("a")
    change(world, "a", config={"errorRate": "0.5"})
    world.wait_until("AgentUpgrade", "a-2", lambda _: True)
    praise = {"from": "me", "rating": 5}
    world.patch("AgentUpgrade", "a-2", {"spec": {"feedback": [praise]}})

    with load(world, "a", tmp_path, rate=RATE):
        found = world.wait_upgrade("a-2", "RolledBack", within=ENDS)

    assert found["status"]["rollback"]["trigger"] == "ErrorRate"
    assert analysis(found)["score"] == {"feedback": 0, "system": 1000, "total": 700}


def test_a_dry_run_tells_and_changes_nothing(world: World, tmp_path: Path) -> None:
    """Not even a step is held."""
    policy = canary(step(50, seconds=20), analysis={**SOON, "dryRun": True})

    with changed_under_load(world, tmp_path, policy=policy, config={"errorRate": "0.5"}) as upgrade:
        found = world.wait_upgrade(upgrade, "Succeeded", within=ENDS)

    assert analysis(found)["verdict"] == "Fail"
    assert message(found).startswith("in a dry run, so that nothing follows, the new version fails")


# What is not known


def test_few_requests_hold_a_step_and_say_what_is_needed(world: World, tmp_path: Path) -> None:
    """A person may go on without."""
    policy = canary(step(50, seconds=2), analysis=SOON)

    with changed_under_load(world, tmp_path, policy=policy, rate=0.5) as upgrade:
        held = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: analysis(seen).get("stepRequests", 0) > 0,
            within=ENDS,
        )
        promote(world, upgrade, step=1)
        found = world.wait_upgrade(upgrade, "Succeeded", within=ENDS)

    paused = condition(held, "Progressing") or {}
    assert (held["status"]["phase"], paused["reason"]) == ("Paused", "Inconclusive")
    assert "of the 20 requests that step 1 needs" in paused["message"]
    assert analysis(found)["verdict"] == "Inconclusive"
    assert "though the new version has answered" in found["status"]["history"][-2]["message"]


def test_who_is_content_with_little_goes_on_and_says_so(world: World) -> None:
    """Without a single request."""
    content = {**SOON, "onInconclusive": "Proceed"}
    world.apply(routed(world, "a", upgradePolicy=canary(step(50, seconds=1), analysis=content)))
    world.wait_until_ready("a")
    upgrade = change(world, "a")

    found = world.wait_upgrade(upgrade, "Succeeded")

    told = [each["message"] for each in found["status"]["history"]]
    assert any("though the new version has answered 0 of the 20 requests" in m for m in told)


def test_an_operator_that_is_killed_goes_on_with_what_it_has_seen(
    world: World, tmp_path: Path
) -> None:
    """What was counted stays counted, and what happened meanwhile is counted once."""
    with changed_under_load(world, tmp_path, policy=WAITING) as upgrade:
        before = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: analysis(seen).get("stepRequests", 0) > 50,
            within=ENDS,
        )
        world.operator.kill()
        world.operator.start()
        after = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: analysis(seen)["stepRequests"] > 2 * analysis(before)["stepRequests"],
            within=ENDS,
        )
        pods = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in world.pods("a")}
        told = {uid: _requests(world.http(pod, "/metrics").text) for uid, pod in pods.items()}
        promote(world, upgrade, full=True)
        world.wait_upgrade(upgrade, "Succeeded", within=ENDS)

    assert analysis(after)["since"] == analysis(before)["since"]
    counted = analysis(after)["canary"]["requests"] + analysis(after)["stable"]["requests"]
    assert counted <= sum(told.values())
    looks = analysis(after)["looks"]
    assert (
        sum(look["canary"]["requests"] for look in looks) == analysis(after)["canary"]["requests"]
    )


def _requests(metrics: str) -> int:
    lines = [line for line in metrics.splitlines() if line.startswith("http_requests_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


# What cannot be read

TELLER: Final = """
import http.server, os, time, urllib.request

HOW = os.environ["HOW"]


class Teller(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen("http://127.0.0.1:8080/metrics") as answer:
            text = answer.read().decode()
        lines = [l for l in text.splitlines() if not l.startswith("http_requests_total")]
        wrong = {"nan": "NaN", "negative": "-1", "huge": "1e300"}.get(HOW)
        if wrong:
            text = "\\n".join([*lines, f'http_requests_total{{code="200"}} {wrong}', ""])
        if HOW == "unlabelled":
            counts = [l for l in text.splitlines() if l.startswith("http_requests_total{")]
            total = sum(float(l.rpartition(" ")[2]) for l in counts)
            text = "\\n".join([*lines, f"http_requests_total {total}", ""])
        if HOW == "html":
            text = "<html>http_requests_total 5</html>"
        if HOW == "slow":
            time.sleep(30)
        self.send_response(302 if HOW == "redirecting" else 200)
        if HOW == "redirecting":
            self.send_header("Location", self.path)
        self.send_header("Content-Length", str(len(text) * (2 if HOW == "truncated" else 1)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", 9100), Teller).serve_forever()
"""

WAYS: Final = ("html", "nan", "negative", "huge", "truncated", "redirecting", "slow")


def telling(how: str) -> Object:
    """A template with a second container that tells the metrics of the first, or something else."""
    found = agent("any")["spec"]["template"]
    (first,) = found["spec"]["containers"]
    environment = [{"name": "HOW", "value": how}]
    teller = {key: value for key, value in first.items() if key != "ports"} | {
        "name": "teller",
        "command": ["python", "-c", TELLER],
        "env": environment,
    }
    return {"spec": {**found["spec"], "containers": [first, teller]}}


@pytest.fixture(scope="module")
def unreadable(shared_world: World) -> dict[str, str]:
    """One Agent for each way not to tell, and the name of the upgrade to a version that does so."""
    world = shared_world
    policy = canary(step(50, seconds=1), analysis={**SOON, "minimumRequests": 1})
    for how in WAYS:
        world.apply(
            agent(
                how,
                version="1.0.0",
                template=telling("plainly"),
                health=HEALTH,
                metrics={"port": 9100},
                upgradePolicy=policy,
            )
        )
    for how in WAYS:
        world.wait_until_ready(how, within=2 * START)
    return {how: change(world, how, template=telling(how)) for how in WAYS}


def test_an_upgrade_beside_those_that_cannot_be_read_is_not_slowed(
    shared_world: World, unreadable: dict[str, str]
) -> None:
    """Pods that hang delay only each other; and those others stay where they are."""
    world = shared_world
    policy = canary(step(50, seconds=2), analysis={**SOON, "minimumRequests": 0})
    metrics = {"port": "http"}
    world.apply(
        agent("beside", version="1.0.0", health=HEALTH, metrics=metrics, upgradePolicy=policy)
    )
    world.wait_until_ready("beside")
    for upgrade in unreadable.values():
        _wait_until_held(world, upgrade)

    found = world.wait_upgrade(change(world, "beside"), "Succeeded")

    # How long its pod takes to start is the machine's concern.
    (pod,) = (p for p in world.pods("beside") if revision(p) == found["status"]["toRevision"])
    ready = (condition(pod, "Ready") or {})["lastTransitionTime"]
    began, ended = map(datetime.fromisoformat, (ready, found["status"]["finishedAt"]))
    assert (ended - began).total_seconds() < 30
    phases = {world.upgrade(each)["status"]["phase"] for each in unreadable.values()}
    assert phases == {"Paused"}


@pytest.mark.parametrize("how", WAYS)
def test_metrics_that_cannot_be_read_hold_a_step_and_roll_nothing_back(
    shared_world: World, unreadable: dict[str, str], how: str
) -> None:
    """It says of how many pods, and goes on once a person says so."""
    world, upgrade = shared_world, unreadable[how]

    held = _wait_until_held(world, upgrade)
    promote(world, upgrade, full=True)
    found = world.wait_upgrade(upgrade, "Succeeded")

    said = "the metrics of 1 of 1 pods of the new version cannot be read"
    assert said in (condition(held, "Progressing") or {})["message"]
    assert said in message(held)
    assert analysis(held)["canary"] == {"requests": 0, "errors": 0, "timed": 0, "microseconds": 0}
    assert "rollback" not in found["status"]


def test_a_version_that_stops_to_tell_its_errors_is_held(world: World, tmp_path: Path) -> None:
    """It is not passed by its latency alone, and not rolled back either."""
    policy = canary(step(50, seconds=1), analysis=SOON)
    plain = telling("plainly")
    world.apply(routed(world, "a", template=plain, metrics={"port": 9100}, upgradePolicy=policy))
    world.wait_until_ready("a", within=2 * START)

    with load(world, "a", tmp_path, rate=RATE) as running:
        upgrade = change(world, "a", template=telling("unlabelled"))
        held = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: "does not tell which requests ended in errors" in message(seen),
            within=ENDS,
        )
        promote(world, upgrade, full=True)
        found = world.wait_upgrade(upgrade, "Succeeded", within=ENDS)
        wait_until_sent(world, running, 1)

    assert analysis(held)["verdict"] == "Inconclusive"
    assert "no http_requests_total has the label code" in message(held)
    assert "rollback" not in found["status"]


def _wait_until_held(world: World, upgrade: str) -> Object:
    return world.wait_until(
        "AgentUpgrade",
        upgrade,
        lambda seen: (condition(seen, "Progressing") or {}).get("reason") == "Inconclusive",
        within=2 * START,
    )
