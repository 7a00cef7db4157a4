"""Versions that are judged by what others measure: what is good, bad, and of no use at all.

A source that is down, slow or wrong has said nothing about the new version. So nothing is promoted
and nothing rolled back because of it, it is told, and nobody else is any slower.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from tests.e2e.cluster import Object
from tests.e2e.judge import Judge, Said, a_prometheus
from tests.e2e.network import cluster_network
from tests.e2e.sample import agent, template
from tests.e2e.served import HEALTH, load, routed
from tests.e2e.test_upgrade_words import (
    canary,
    change,
    phases,
    quiet,
    step,
    wait_at_step,
    wait_for_end,
)
from tests.e2e.world import START, World, condition, is_ready

ROUNDS: Final = 3
"""Measurements after which a source that says nothing of use has been seen to change nothing."""

SLOW: Final = 30.0

USELESS: Final[dict[str, tuple[Said, str]]] = {
    "slow": (Said(body='{"score": 1}', seconds=SLOW), "has not answered within 10 s"),
    "html": (Said(body="<html>ok</html>", kind="text/html"), "is not JSON"),
    "nan": (Said(body='{"score": NaN}'), "is not JSON"),
    "text": (Said(body='{"score": "high"}'), "there is no number at /score"),
    "error": (Said(body='{"error": "out of memory"}'), "there is nothing at /score"),
    "negative": (Said(body='{"score": -1}'), "is negative"),
    "huge": (Said(body='{"score": 1e300}'), "too large"),
    "long": (Said(body=f'{{"score": 1, "more": "{"x" * 300_000}"}}'), "more than 262144 bytes"),
    "truncated": (Said(body='{"score": 1}', of=100), "broke off"),
    "redirecting": (Said(status=302, location="/redirecting"), "redirects (status 302)"),
    "unauthorised": (Said(body="{}", status=401), "status 401"),
    "failing": (Said(body='{"score": 1}', status=500), "status 500"),
}
"""What a source answers, and what has to be told of it."""


def judged(name: str, *metrics: Object, make: Callable[..., Object] = quiet, **spec: Any) -> Object:
    """An Agent whose next version is judged by these metrics at a step of half the requests."""
    policy = canary(step(50, seconds=2), analysis={"metrics": [*metrics]})
    return make(name, **{"upgradePolicy": policy, "version": "1.0.0", **spec})


def scored(url: str, name: str = "quality", **fields: Any) -> Object:
    """A metric that is a number between 0.8 and 1 at `/score`, measured each second."""
    source = {"url": url, "pointer": "/score"}
    return {"name": name, "http": source, "minimum": 0.8, "intervalSeconds": 1, **fields}


def job(script: str, *, words: tuple[str, str] = ("/bin/sh", "-c"), **fields: Any) -> Object:
    """A metric that is the end of a Job."""
    pod = template(command=[*words, script], ports=[])
    pod["metadata"] = {"labels": {"app": "tester"}}
    return {"name": "smoke", "job": {"template": pod, **fields}}


def metric(found: Object, name: str = "quality") -> Object:
    """How a metric of an upgrade does; without measurements where there were none."""
    statuses = found.get("status", {}).get("analysis", {}).get("metrics", ())
    none = {"verdict": "Inconclusive", "measurements": []}
    return none | next((each for each in statuses if each["name"] == name), {})


def wait_until_measured(world: World, name: str, times: int, *, within: float) -> Object:
    """Wait until a metric was measured so many times."""
    return world.wait_until(
        "AgentUpgrade",
        name,
        lambda seen: len(metric(seen)["measurements"]) >= times,
        within=within,
    )


def wait_until_held(world: World, name: str) -> Object:
    """Wait until an upgrade stands at its first step for want of a measurement of use.

    A step is Paused before that too: as long as its own time is not over.
    """
    return world.wait_until(
        "AgentUpgrade",
        name,
        lambda seen: (
            seen["status"].get("step") == 1
            and (condition(seen, "Progressing") or {}).get("reason") == "Inconclusive"
        ),
        within=START,
    )


@contextmanager
def judging(world: World, name: str) -> Iterator[Judge]:
    """A source at an address that the pods of an Agent, and so the operator, can reach."""
    address = world.pods(name)[0]["status"]["podIP"]
    with Judge(cluster_network(), towards=address).serving() as found:
        yield found


@pytest.fixture(scope="module")
def judge(shared_world: World) -> Iterator[Judge]:
    """A source that answers what a test wants."""
    shared_world.apply(quiet("landmark"))
    shared_world.wait_until_ready("landmark")
    with judging(shared_world, "landmark") as found:
        yield found


@pytest.fixture(scope="module")
def held(shared_world: World, judge: Judge) -> dict[str, str]:
    """One Agent for each way of being of no use, all in an upgrade; the names of the upgrades."""
    urls = {name: judge.url(name) for name in USELESS} | {"down": f"http://{judge.host}:9/"}
    for name, (said, _) in USELESS.items():
        judge.say(name, said)
    for name, url in urls.items():
        shared_world.apply(judged(name, scored(url)))
    for name in urls:
        shared_world.wait_until_ready(name)
    return {name: change(shared_world, name, version="2.0.0") for name in urls}


@pytest.mark.parametrize("name", [*USELESS, "down"])
def test_a_source_of_no_use_holds_the_upgrade_and_is_told(
    shared_world: World, held: dict[str, str], name: str
) -> None:
    """Nothing is promoted and nothing rolled back because of it, however often it is asked."""
    world, upgrade = shared_world, held[name]
    told = USELESS[name][1] if name in USELESS else "cannot connect to"

    wait_until_measured(world, upgrade, ROUNDS, within=START + 2 * SLOW)
    found = wait_until_held(world, upgrade)

    measurements = metric(found)["measurements"]
    assert {(m["verdict"], m.get("value")) for m in measurements} == {("Inconclusive", None)}
    assert all(told in m["message"] for m in measurements)
    assert told in (condition(found, "Progressing") or {})["message"]
    assert "rollback" not in found["status"]
    assert world.status(name)["stableRevision"] == found["status"]["fromRevision"]


def test_no_other_upgrade_is_slowed_by_a_source_that_is(
    shared_world: World, judge: Judge, held: dict[str, str]
) -> None:
    """It measures every second and is promoted, while others wait for theirs."""
    world = shared_world
    judge.score("quick", 0.9)
    analysis = {"metrics": [scored(judge.url("quick"))]}
    policy = canary(step(50, seconds=20), analysis=analysis)
    world.apply(quiet("quick", upgradePolicy=policy))
    world.wait_until_ready("quick")
    wait_until_measured(world, held["slow"], 1, within=START)

    upgrade = change(world, "quick", version="2.0.0")
    found = wait_for_end(world, upgrade, within=2 * START)

    assert found["status"]["phase"] == "Succeeded"
    asked = judge.asked["quick"]
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert len(pauses) >= 3
    assert max(pauses) < 10  # the slow one takes 30 s; a busy machine some


def test_an_upgrade_goes_on_once_its_source_is_of_use_again(
    shared_world: World, judge: Judge
) -> None:
    world = shared_world
    judge.say("recovering", Said(status=503))
    world.apply(judged("recovering", scored(judge.url("recovering"))))
    world.wait_until_ready("recovering")
    upgrade = change(world, "recovering", version="2.0.0")
    wait_until_measured(world, upgrade, ROUNDS, within=START)

    judge.score("recovering", 0.95)
    found = wait_for_end(world, upgrade)

    assert found["status"]["phase"] == "Succeeded"
    assert metric(found)["measurements"][-1]["value"] == 0.95


def test_a_version_that_measures_badly_is_rolled_back_unless_that_is_a_dry_run(
    shared_world: World, judge: Judge
) -> None:
    world = shared_world
    judge.score("bad", 0.5)
    for name, fields in {"bad": {}, "tried": {"dryRun": True}}.items():
        world.apply(judged(name, scored(judge.url("bad"), **fields)))
    for name in ("bad", "tried"):
        world.wait_until_ready(name)
    upgrades = {name: change(world, name, version="2.0.0") for name in ("bad", "tried")}

    ends = {name: wait_for_end(world, upgrade) for name, upgrade in upgrades.items()}

    record = ends["bad"]["status"]["rollback"]
    assert (ends["bad"]["status"]["phase"], record["trigger"]) == ("RolledBack", "MetricFailed")
    assert "0.5 is below the minimum of 0.8" in record["reason"]
    assert ends["tried"]["status"]["phase"] == "Succeeded"


def test_answers_of_200_with_an_error_in_them_are_seen_by_who_reads_them(
    shared_world: World, judge: Judge
) -> None:
    """Metrics of the pods say that all is well; the part of good answers, asked for, does not."""
    world = shared_world

    def share(query: str) -> Said:
        wanted = parse_qs(query)["revision"][0]
        pods = [
            pod["metadata"]["name"]
            for pod in world.pods("polite")
            if pod["metadata"]["labels"]["agentherd.dev/revision"] == wanted and is_ready(pod)
        ]
        answers = [world.http(pod, "/") for pod in pods]
        good = [a.status == 200 and "error" not in json.loads(a.text)["greeting"] for a in answers]
        return Said(body=json.dumps({"score": sum(good) / len(good)}))

    judge.say("polite", share)
    url = judge.url("polite", "revision=$(CANARY_REVISION)")
    world.apply(judged("polite", scored(url), make=agent, health=HEALTH))
    world.wait_until_ready("polite")

    good = wait_for_end(world, change(world, "polite", config={"greeting": "Good day"}))
    bad = wait_for_end(world, change(world, "polite", config={"greeting": "error: no tokens left"}))

    assert good["status"]["phase"] == "Succeeded"
    assert bad["status"]["rollback"]["trigger"] == "MetricFailed"


# Testers


NEW_ALONE: Final = """
import json, os, time, urllib.request
time.sleep(20)
url = f"http://{os.environ['AGENTHERD_CANARY_SERVICE']}:8080/"
answers = [json.load(urllib.request.urlopen(url, timeout=5)) for _ in range(10)]
assert {answer["version"] for answer in answers} == {"2.0.0"}, answers
"""
"""Passes, after a while, when all that answer at the Service of the new version are of it."""

PASSED: Final = frozenset({"SuccessCriteriaMet", "Complete"})
"""Conditions of a Job by which it is known that it has succeeded."""


@pytest.mark.row("F05")
def test_f05_a_tester_that_fails_rolls_back_and_the_old_image_still_serves(
    shared_world: World,
) -> None:
    world = shared_world
    script = 'test "$AGENTHERD_AGENT" = tested && test -n "$AGENTHERD_CANARY_SERVICE" && exit 3'
    world.apply(judged("tested", job(script)))
    world.wait_until_ready("tested")
    before = world.pod("tested")

    upgrade = change(world, "tested", version="2.0.0")
    found = wait_for_end(world, upgrade)

    record = found["status"]["rollback"]
    assert phases(found)[-2:] == ["RollingBack", "RolledBack"]
    assert (record["trigger"], record["requestedBy"]) == ("TestFailed", "agentherd")
    assert f"Job {upgrade}-smoke-1 has failed" in record["reason"]
    world.wait_until_children("tested", "Pod", lambda pods: len(pods) == 1, within=START)
    after = world.pod("tested")
    assert is_ready(after)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    # That it fails is told before its last pod has been counted.
    world.wait_until("Job", f"{upgrade}-smoke-1", lambda seen: seen["status"].get("failed") == 1)


def test_a_version_is_promoted_after_its_tester_has_passed_and_not_before(
    shared_world: World,
) -> None:
    """It reaches the new version, and nobody else, at the Service it is told of."""
    world = shared_world
    tester = job(NEW_ALONE, words=("python3", "-c"))
    world.apply(judged("examined", tester, make=agent, health=HEALTH))
    world.wait_until_ready("examined")

    upgrade = change(world, "examined", version="2.0.0")
    waiting = wait_at_step(world, upgrade, 1)
    found = wait_for_end(world, upgrade, within=2 * START)

    told = (condition(waiting, "Progressing") or {})["message"]
    assert "smoke: its Job has not ended yet" in told
    assert found["status"]["phase"] == "Succeeded"
    waited = waiting["status"]["history"][-1]["at"]
    promoted = {entry["phase"]: entry["at"] for entry in found["status"]["history"]}["Promoting"]
    # That it has passed is known before the Job is complete.
    ends = world.get("Job", f"{upgrade}-smoke-1")["status"]["conditions"]
    passed = min(c["lastTransitionTime"] for c in ends if c["type"] in PASSED)
    assert waited <= passed <= promoted


def test_a_tester_that_takes_too_long_has_failed(shared_world: World) -> None:
    world = shared_world
    # Its pod has to run within that time, or it has found out nothing.
    world.apply(judged("endless", job("sleep 600", timeoutSeconds=40)))
    world.wait_until_ready("endless")

    upgrade = change(world, "endless", version="2.0.0")
    found = wait_for_end(world, upgrade, within=2 * START)

    assert found["status"]["rollback"]["trigger"] == "TestFailed"
    assert "DeadlineExceeded" in found["status"]["rollback"]["reason"]


def test_a_tester_that_never_ran_is_held_against_nobody(shared_world: World) -> None:
    """Its image cannot be pulled: it has found out nothing, and the upgrade says so."""
    world = shared_world
    missing = job("true", timeoutSeconds=10)
    (first,) = missing["job"]["template"]["spec"]["containers"]
    first["image"] = "localhost/agentherd/none:1"
    world.apply(judged("unstarted", missing))
    world.wait_until_ready("unstarted")
    upgrade = change(world, "unstarted", version="2.0.0")

    held = world.wait_until(
        "AgentUpgrade",
        upgrade,
        lambda seen: "no running pod" in (condition(seen, "Progressing") or {}).get("message", ""),
        within=2 * START,
    )

    assert held["status"]["phase"] == "Paused"
    assert "rollback" not in held["status"]
    assert metric(held, "smoke")["verdict"] == "Inconclusive"


def test_a_tester_is_run_once_whoever_is_killed_meanwhile(world: World) -> None:
    """The next operator finds the Job, and hears its end."""
    world.apply(judged("surviving", job("sleep 12")))
    world.wait_until_ready("surviving")
    upgrade = change(world, "surviving", version="2.0.0")
    world.wait_until("Job", f"{upgrade}-smoke-1", bool, within=START)
    first = world.get("Job", f"{upgrade}-smoke-1")["metadata"]["uid"]

    for _ in range(3):
        world.operator.kill()
        world.operator.start()
    found = wait_for_end(world, upgrade)

    assert found["status"]["phase"] == "Succeeded"
    assert world.get("Job", f"{upgrade}-smoke-1")["metadata"]["uid"] == first


def test_a_tester_ends_with_the_upgrade_it_is_for(shared_world: World, judge: Judge) -> None:
    world = shared_world
    judge.score("abandoned", 0.1)
    world.apply(judged("abandoned", job("sleep 600"), scored(judge.url("abandoned"))))
    world.wait_until_ready("abandoned")

    upgrade = change(world, "abandoned", version="2.0.0")
    found = wait_for_end(world, upgrade)

    assert found["status"]["rollback"]["trigger"] == "MetricFailed"
    world.wait_until_gone("Job", f"{upgrade}-smoke-1", within=START)


# A real Prometheus


ERRORS: Final = (
    'sum(rate(http_requests_total{namespace="$(NAMESPACE)",agent="$(AGENT)",'
    'revision="$(CANARY_REVISION)",code=~"5.."}[10s]))'
    ' / sum(rate(http_requests_total{namespace="$(NAMESPACE)",agent="$(AGENT)",'
    'revision="$(CANARY_REVISION)"}[10s]))'
)


MOST: Final = 0.01


@contextmanager
def prometheus(world: World, directory: Path, name: str) -> Iterator[str]:
    """A Prometheus that scrapes the Agents of this test."""
    with (
        judging(world, name) as judge,
        a_prometheus(
            cluster_network(), judge, lambda: world.pods(name), directory=directory
        ) as address,
    ):
        yield address


def queried(address: str, query: str, **fields: Any) -> Object:
    """A metric that a query yields, and that is too much above `MOST`."""
    source = {"address": address, "query": query}
    known = {"name": "quality", "prometheus": source, "maximum": MOST, "intervalSeconds": 1}
    return known | fields


def test_a_real_prometheus_tells_a_bad_version_from_a_good_one(
    world: World, tmp_path: Path
) -> None:
    """Its own view of the errors of the new version alone; the good one is promoted."""
    world.apply(routed(world, "asked", metrics=None))
    world.wait_until_ready("asked")
    with (
        prometheus(world, tmp_path, "asked") as address,
        load(world, "asked", tmp_path, seconds=4 * START),
    ):
        policy = canary(step(50, seconds=8), analysis={"metrics": [queried(address, ERRORS)]})
        world.change("asked", upgradePolicy=policy)

        good = wait_for_end(world, change(world, "asked", version="2.0.0"), within=2 * START)
        bad = wait_for_end(
            world,
            change(world, "asked", version="3.0.0", config={"errorRate": "0.3"}),
            within=2 * START,
        )

    assert good["status"]["phase"] == "Succeeded"
    values = [m["value"] for m in metric(good)["measurements"] if "value" in m]
    assert values[-1] == 0
    assert bad["status"]["rollback"]["trigger"] == "MetricFailed"
    # How far above it depends on how many requests the first look at the errors has seen.
    assert metric(bad)["measurements"][-1]["value"] > MOST


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("up{agent='nobody'}", "yields no data"),
        ("http_requests_total", "write one that yields one"),
        ("sum(up", "cannot evaluate the query"),
        ("0/0", "nan"),
        ("vector(1)[1m:1s]", "yields a matrix"),
    ],
    ids=["no data", "many series", "not a query", "NaN", "a matrix"],
)
def test_a_query_of_no_use_holds_the_upgrade_and_is_told(
    world: World, tmp_path: Path, query: str, told: str
) -> None:
    world.apply(agent("asked", version="1.0.0", health=HEALTH))
    world.wait_until_ready("asked")
    with prometheus(world, tmp_path, "asked") as address:
        policy = canary(step(50, seconds=2), analysis={"metrics": [queried(address, query)]})
        world.change("asked", upgradePolicy=policy)
        upgrade = change(world, "asked", version="2.0.0")

        wait_until_measured(world, upgrade, ROUNDS, within=START)
        # A Prometheus that has missed a look at the pods has something else to say for a moment.
        found = world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: (
                (condition(seen, "Progressing") or {}).get("reason") == "Inconclusive"
                and told in (condition(seen, "Progressing") or {})["message"].lower()
                and told in metric(seen)["measurements"][-1].get("message", "").lower()
            ),
            within=START,
        )

    assert found["status"]["step"] == 1
    assert "rollback" not in found["status"]


def test_only_hosts_that_whoever_runs_the_operator_has_named_are_asked(world: World) -> None:
    world.operator.stop()
    world.operator.configure(AGENTHERD_METRIC_HOST="*.monitoring.svc")
    world.operator.start()
    world.apply(judged("barred", scored("http://judge.test:8080/score")))
    world.wait_until_ready("barred")

    upgrade = change(world, "barred", version="2.0.0")
    found = wait_until_measured(world, upgrade, 1, within=START)

    said = metric(found)["measurements"][-1]["message"]
    assert said == "host judge.test is not one the operator may ask"
