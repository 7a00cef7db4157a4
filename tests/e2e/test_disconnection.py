"""The API server is away, or has forgotten what happened; the operator recovers by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.api_proxy import ApiProxy
from tests.e2e.cluster import Cluster, Object, Refused
from tests.e2e.fleet import podless, wait_until_settled
from tests.e2e.sample import template
from tests.e2e.served import NEW, canary, change, load, routed, step
from tests.e2e.test_analysis import analysis
from tests.e2e.test_upgrade_words import quiet
from tests.e2e.world import CHILD_KINDS, START, World, condition, governed

CUT: Final = 25.0
AWAY: Final = 60.0

SOON_AFTERWARDS: Final = 45.0
"""Seconds after an outage in which an upgrade has ended that only has to be made or judged."""

RATE: Final = 40.0
LONG: Final = 300.0
TOLD: Final = "/told"

JUDGED: Final = canary(step(50, seconds=30), analysis={"intervalSeconds": 1, "warmUpSeconds": 2})
"""The pause is over before the API server is back, so that nothing but a verdict is waited for."""

RECONNECTED: Final = 15.0
"""Seconds in which the operator, which asks less and less often, comes back and lists again."""


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    """The way from the operator to the API server."""
    kubeconfig = tmp_path / "kubeconfig"
    with ApiProxy(upstream=cluster.operator_kubeconfig, kubeconfig=kubeconfig) as found:
        yield found


@pytest.fixture
def world(cluster: Cluster, namespace: str, proxy: ApiProxy, tmp_path: Path) -> Iterator[World]:
    """A world whose operator reaches the API server through the proxy."""
    kubeconfig, log = str(proxy.kubeconfig), tmp_path / "operator.log"
    with governed(cluster, namespace=namespace, kubeconfig=kubeconfig, log=log) as found:
        yield found
        proxy.unblock()


@pytest.mark.row("K03")
def test_k03_a_lost_api_server_makes_it_unready_and_restarts_nothing(
    world: World, proxy: ApiProxy
) -> None:
    """25 s without an answer: alive, not ready, and afterwards it goes on by itself."""
    world.apply(podless("before"))
    wait_until_settled(world, ["before"], within=15)
    process = world.operator.pid

    proxy.block()
    start = time.monotonic()
    world.change("before", operatingMode="Suspended")
    world.apply(podless("meanwhile"))
    world.operator.wait_until(lambda: world.operator.get("/readyz")[0] == 503, within=CUT)
    unready = world.operator.get("/readyz")
    alive = world.operator.get("/healthz")
    world.operator.runs_for(CUT - (time.monotonic() - start))
    still = world.operator.get("/healthz")
    proxy.unblock()
    world.wait_for_phase("before", "Suspended", within=20)
    wait_until_settled(world, ["meanwhile"], within=20)
    world.operator.wait_until(lambda: world.operator.get("/readyz")[0] == 200, within=10)

    assert unready[0] == 503
    assert "the API server has not been reached for" in unready[1]
    assert alive == (200, "ok")
    assert still == (200, "ok")
    assert world.operator.pid == process


@pytest.mark.parametrize("others", [0, 2])
def test_an_agent_deleted_behind_a_broken_watch_is_forgotten(
    world: World, proxy: ApiProxy, others: int
) -> None:
    """The history was compacted meanwhile, so that no watch can tell: the next list does."""
    kept = [f"kept-{number}" for number in range(others)]
    for name in ["gone", *kept]:
        world.apply(podless(name))
    wait_until_settled(world, ["gone", *kept], within=15)
    _known(world, others + 1, within=5)

    proxy.cut()
    world.delete("Agent", "gone")
    for kind in CHILD_KINDS:
        # Not left to the garbage collector: without a Lease for too long there is another term.
        for child in world.children("gone", kind):
            with suppress(Refused):  # it was quicker
                world.delete(kind, child["metadata"]["name"])
        world.wait_until_children("gone", kind, lambda left: not left)
    proxy.mend(forgotten_before=world.now("Agent").version)
    _known(world, others, within=RECONNECTED)
    world.apply(podless("after"))
    wait_until_settled(world, ["after"], within=RECONNECTED)

    assert world.operator.metric("agentherd_watch_restarts_total") > 0
    assert world.operator.log.read_text().count("leading as") == 1
    for kind in CHILD_KINDS:
        assert world.children("gone", kind) == []


def test_a_child_deleted_behind_a_broken_watch_is_made_anew(world: World, proxy: ApiProxy) -> None:
    """What is missing in the new list is missed."""
    world.apply(podless("a"))
    wait_until_settled(world, ["a"], within=15)
    lost = world.get("Service", "a")["metadata"]["uid"]

    proxy.cut()
    world.delete("Service", "a")
    proxy.mend(forgotten_before=world.now("Service").version)

    world.wait_until_children("a", "Service", lambda found: bool(found), within=RECONNECTED)
    assert world.get("Service", "a")["metadata"]["uid"] != lost


def test_a_stop_is_in_order_while_the_api_server_is_away(world: World, proxy: ApiProxy) -> None:
    """SIGTERM ends it within ten seconds, even though the Lease cannot be given back."""
    world.apply(podless("a"))
    wait_until_settled(world, ["a"], within=15)

    proxy.block()
    world.operator.stop()

    assert not world.operator.running


# In the middle of an upgrade


def test_a_canary_waits_for_the_api_server_and_is_promoted(
    world: World, proxy: ApiProxy, tmp_path: Path
) -> None:
    """60 s away: it is told, nothing is decided because of it, and no other upgrade is slowed.

    What was counted before stays counted, and what the pods did meanwhile is counted once.
    """
    upgrade = _begun(world)
    with load(world, "a", tmp_path, rate=RATE, seconds=LONG) as running:
        world.wait_until("AgentUpgrade", upgrade, _is_measured, within=2 * START)
        outage = _api_server_away(world, proxy, upgrade)
        beside = world.wait_upgrade(outage.beside, "Succeeded", within=START)
        found = world.wait_upgrade(upgrade, "Succeeded", within=2 * START)
        told = sum(_requests(world, pod) for pod in _pods_of(world, NEW))
        report = running.stop()

    assert "the API server has not been reached for" in outage.told
    assert re.search("the Lease .* is lost", world.operator.log.read_text())
    assert outage.during == outage.before
    _assert_went_on(outage.before, found)
    assert (condition(found, "Analyzed") or {})["status"] == "True"
    assert _seconds(outage.back, beside) < SOON_AFTERWARDS
    assert _seconds(outage.back, found) < SOON_AFTERWARDS
    before, counted = _counted(outage.before), _counted(found)
    missed = report.between(outage.gone, outage.back).counts[NEW, 200]
    assert before + missed <= counted <= told
    assert report.failed == ()


def test_a_canary_that_turns_bad_while_the_api_server_is_away_is_rolled_back_afterwards(
    world: World, proxy: ApiProxy, tmp_path: Path
) -> None:
    """The good numbers of before do not promote it, though its pause has long been over."""
    upgrade = _begun(world)
    with load(world, "a", tmp_path, rate=RATE, seconds=LONG) as running:
        world.wait_until("AgentUpgrade", upgrade, _is_measured, within=2 * START)
        outage = _api_server_away(world, proxy, upgrade, meanwhile=_turn_bad)
        found = world.wait_upgrade(upgrade, "RolledBack", within=2 * START)
        report = running.stop()

    assert outage.during == outage.before
    assert analysis(outage.before)["canary"]["errors"] == 0
    _assert_went_on(outage.before, found)
    assert found["status"]["rollback"]["trigger"] == "ErrorRate"
    assert "Promoting" not in {entry["phase"] for entry in found["status"]["history"]}
    assert _seconds(outage.back, found) < SOON_AFTERWARDS
    assert report.failed_but_by(NEW) == ()


@dataclass(frozen=True, kw_only=True)
class _Outage:
    """An upgrade as it was when the API server had gone and when it came back; times in seconds
    since the epoch. `told` is what the operator said, `beside` an upgrade asked for meanwhile."""

    before: Object
    during: Object
    gone: float
    back: float
    told: str
    beside: str


def _begun(world: World) -> str:
    """An upgrade of one of two Agents; returns its name."""
    world.apply(routed(world, "a", upgradePolicy=JUDGED, template=_told_by_a_file()))
    world.apply(quiet("beside", upgradePolicy=canary(step(50))))
    world.wait_until_ready("a")
    world.wait_until_ready("beside")
    return change(world, "a")


def _api_server_away(
    world: World,
    proxy: ApiProxy,
    upgrade: str,
    *,
    meanwhile: Callable[[World], None] = lambda _: None,
) -> _Outage:
    """The operator does not reach the API server for a minute."""
    proxy.block()
    gone = time.time()
    meanwhile(world)
    world.operator.wait_until(lambda: world.operator.get("/readyz")[0] == 503, within=AWAY)
    told = world.operator.get("/readyz")[1]
    before = world.upgrade(upgrade)
    beside = change(world, "beside")
    world.operator.runs_for(AWAY - (time.time() - gone))
    during = world.upgrade(upgrade)
    back = time.time()
    proxy.unblock()
    return _Outage(before=before, during=during, gone=gone, back=back, told=told, beside=beside)


def _told_by_a_file() -> Object:
    """A template whose agent reads its config from a directory that a test may write to."""
    mount = {"name": "told", "mountPath": TOLD}
    found = template(env=[{"name": "AGENTHERD_CONFIG_DIR", "value": TOLD}], volumeMounts=[mount])
    found["spec"]["volumes"] = [{"name": "told", "emptyDir": {}}]
    found["spec"]["securityContext"]["fsGroup"] = 65532
    return found


def _turn_bad(world: World) -> None:
    """Half of the requests fail from now on at the pods of the new version."""
    for pod in _pods_of(world, NEW):
        words = ("exec", pod, "--", "/bin/sh", "-c", f"printf 0.5 >{TOLD}/errorRate")
        done = world.kubectl(*words)
        assert done.code == 0, done.err


def _pods_of(world: World, version: str) -> list[str]:
    labelled = [(pod["metadata"]["name"], pod["metadata"]["labels"]) for pod in world.pods("a")]
    return [name for name, labels in labelled if labels["app.kubernetes.io/version"] == version]


def _requests(world: World, pod: str) -> float:
    """How many requests a pod has counted."""
    families = text_string_to_metric_families(world.http(pod, "/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "http_requests_total")


def _is_measured(upgrade: Object) -> bool:
    return bool(analysis(upgrade).get("stepRequests", 0) > 50)


def _counted(upgrade: Object) -> int:
    counted: int = analysis(upgrade)["canary"]["requests"]
    return counted


def _assert_went_on(before: Object, after: Object) -> None:
    """It is the same attempt, at the step where it was, with all that was seen of it."""
    (old, new), kept = (each["status"] for each in (before, after)), before["status"]["history"]
    assert (old["phase"], old["step"]) == ("Progressing", 1)
    assert (new["attempt"], new["startedAt"]) == (old["attempt"], old["startedAt"])
    assert new["history"][: len(kept)] == kept
    assert new["analysis"]["since"] == old["analysis"]["since"]


def _seconds(begin: float, upgrade: Object) -> float:
    """Seconds from a time since the epoch to the end of an upgrade."""
    return datetime.fromisoformat(upgrade["status"]["finishedAt"]).timestamp() - begin


def _known(world: World, count: int, *, within: float) -> None:
    operator = world.operator
    operator.wait_until(
        lambda: operator.metric("agentherd_objects", kind="Agent") == count, within=within
    )
