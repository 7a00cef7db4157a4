"""Sizes become writes: pods come at once, leave gently, and are looked at while it matters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, pod_view, set_view
from tests.unit.domain.samples import seen_upgrade, upgraded

from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Merge, Scale
from agentherd.domain.pods import DRAIN_TIMEOUT, LOOK_AGAIN, Sized, measured, sized
from agentherd.domain.readings import Target
from agentherd.domain.revision import Revision, revision_of
from agentherd.domain.upgrades.change import choose
from agentherd.domain.upgrades.run import run
from agentherd.domain.views import Child, PodView

SETTLE = timedelta(seconds=2)
SERVICE = Child(
    namespace="default",
    name="greeter",
    uid="u",
    version=1,
    workload="greeter",
    owner="uid-of-greeter",
    applied="",
    touched=False,
    deleting=False,
)


def pods(revision: str, count: int, **fields: Any) -> dict[str, PodView]:
    views = [
        pod_view(f"{revision}-{number}", revision=revision, ip=f"10.0.0.{number}", **fields)
        for number in range(count)
    ]
    return {view.name: view for view in views}


def changed(
    size: int,
    *,
    wanted: int = 2,
    views: dict[str, PodView] | None = None,
    served: bool = True,
    revisions: dict[str, Revision] | None = None,
    now: Any = NOON,
    **spec: Any,
) -> Sized:
    """What is done to two pods of revision `a` that are to be `size`."""
    seen = AgentObservation(
        agent=agent(**spec),
        services={"greeter": SERVICE} if served else {},
        replica_sets={"greeter-a": set_view("a", wanted=wanted)},
        pods=pods("a", wanted) if views is None else views,
    )
    return sized(seen, {"a": size}, revisions or {}, settle=SETTLE, now=now)


def kinds(found: Sized) -> list[type[Any]]:
    return [type(intent) for intent in found.intents]


def test_pods_come_at_once() -> None:
    """Only the number is written."""
    (scale,) = changed(5).intents

    assert isinstance(scale, Scale)
    assert (scale.name, scale.uid, scale.replicas) == ("greeter-a", "uid-of-greeter-a", 5)


def test_a_size_that_is_as_it_should_be_is_not_written() -> None:
    """And nobody has to look again."""
    found = changed(2)

    assert (found.intents, found.wake_at) == ((), None)


def test_pods_are_taken_out_of_traffic_before_they_go() -> None:
    """The size stays until they may; and there is another look."""
    found = changed(1)

    (mark,) = found.intents
    assert isinstance(mark, Merge)
    assert mark.patch["metadata"]["labels"] == {"agentherd.dev/traffic": "off"}
    assert mark.patch["metadata"]["annotations"]["agentherd.dev/draining-since"] == (
        "2026-11-21T12:00:00Z"
    )
    assert found.sizes["a"] == 2
    assert found.wake_at is not None
    assert found.wake_at <= NOON + LOOK_AGAIN


def test_pods_to_which_nobody_sends_anything_go_at_once() -> None:
    """There is nothing to wait for."""
    found = changed(0, served=False)

    assert kinds(found) == [Scale]
    assert found.sizes["a"] == 0


def test_pods_that_are_wanted_again_are_put_back_into_traffic() -> None:
    """After the size that keeps them."""
    leaving = pods("a", 2, draining_since=NOON, in_traffic=False)

    (back, other) = changed(2, views=leaving).intents

    assert isinstance(back, Merge)
    assert isinstance(other, Merge)
    assert back.patch["metadata"] == {
        "labels": {"agentherd.dev/traffic": "on"},
        "annotations": {
            "agentherd.dev/draining-since": None,
            "controller.kubernetes.io/pod-deletion-cost": None,
        },
    }


@pytest.mark.parametrize(
    ("spec", "seconds"), [({}, DRAIN_TIMEOUT.seconds), ({"drain": {"timeoutSeconds": 90}}, 90)]
)
def test_how_long_a_pod_may_finish_its_work_is_its_revisions(
    spec: dict[str, Any], seconds: int
) -> None:
    """Or Kubernetes' own default, where that says nothing or is not known."""
    revisions = {"a": revision_of(agent(**spec).spec)}
    leaving = pods("a", 1, draining_since=NOON, in_traffic=False)

    found = changed(0, wanted=1, views=leaving, revisions=revisions, metrics={})

    assert found.intents == ()
    assert found.wake_at == NOON + SETTLE + timedelta(seconds=seconds)


def test_of_a_set_that_is_not_asked_for_nothing_stays() -> None:
    """It belongs to no revision that is in use."""
    seen = AgentObservation(agent=agent(), replica_sets={"greeter-b": set_view("b")})

    found = sized(seen, {}, {}, settle=SETTLE, now=NOON)

    assert found.sizes == {"b": 0}


# What is looked at

METRICS = {"path": "/stats", "requests": "r", "inFlight": "f"}
HEALTH = {"http": {"port": 8080, "path": "/ready"}}
OLD, NEW = (revision_of(agent(image=f"agent:{n}", health=HEALTH, replicas=2).spec) for n in (1, 2))
KNOWN = {OLD.hash: OLD, NEW.hash: NEW}


def looked_at(
    *views: PodView,
    phase: str = "Progressing",
    metrics: dict[str, Any] | None = METRICS,
    revisions: dict[str, Revision] = KNOWN,
) -> dict[str, Target]:
    """The pods that are measured, by name, while an upgrade is in that phase."""
    status = {
        "phase": phase,
        "fromRevision": OLD.hash,
        "toRevision": NEW.hash,
        "steps": 1,
        "step": 1,
        "startedAt": NOON,
        "progressSince": NOON,
    }
    one = agent(
        image="agent:2",
        health=HEALTH,
        replicas=2,
        **({} if metrics is None else {"metrics": metrics}),
    )
    seen = upgraded(
        one,
        seen_upgrade("u", to={"revision": NEW.hash}, status=status),
        stable=OLD.hash,
        target=NEW.hash,
        governing="u",
        pods={view.name: view for view in views},
    )
    under_way = run(
        seen,
        choose(seen),
        old=OLD,
        obstacle=None,
        shifted=False,
        refusal=None,
        settle=SETTLE,
        now=NOON,
    )
    found = {target.uid: target for target in measured(seen, revisions, under_way)}
    return {view.name: found[view.uid] for view in views if view.uid in found}


def pod(name: str, made_of: Revision, **fields: Any) -> PodView:
    return pod_view(name, **{"revision": made_of.hash, "ip": "10.0.0.1"} | fields)


def test_both_sides_of_an_upgrade_are_counted_and_the_new_one_is_asked_for_its_health() -> None:
    """At the addresses that their revisions name."""
    found = looked_at(pod("new", NEW), pod("old", OLD))

    assert found["new"].counters is not None
    assert found["new"].counters.url == "http://10.0.0.1:8080/stats"
    assert (found["new"].counters.requests, found["new"].counters.in_flight) == ("r", "f")
    assert found["new"].health == "http://10.0.0.1:8080/ready"
    assert found["old"].counters is not None
    assert found["old"].health is None


def test_requests_to_the_paths_of_metrics_and_probes_are_no_users() -> None:
    """Those of the spec and of the template; but for `/`, where users may come too."""
    probes = {
        "livenessProbe": {"httpGet": {"port": 8080, "path": "/live"}},
        "startupProbe": {"tcpSocket": {"port": 8080}},
    }
    container = {"name": "agent", "image": "agent:2", "ports": [{"containerPort": 8080}], **probes}
    template = {"spec": {"containers": [container]}}
    at_root = {"http": {"port": 8080, "path": "/"}}
    probed = revision_of(agent(template=template, health=at_root).spec)

    usual = looked_at(pod("new", NEW))["new"].counters
    special = looked_at(pod("old", OLD), revisions={OLD.hash: probed})["old"].counters

    assert usual is not None
    assert usual.probed == ("/ready", "/stats")
    assert special is not None
    assert special.probed == ("/live", "/stats")


def test_an_address_of_six_bytes_pairs_is_written_in_brackets() -> None:
    """As URLs want it."""
    found = looked_at(pod("new", NEW, ip="fd00::1"))

    assert found["new"].health == "http://[fd00::1]:8080/ready"


def test_without_metrics_only_the_health_of_the_new_version_is_asked_for() -> None:
    """The pods do not tell what they do."""
    found = looked_at(pod("new", NEW), pod("old", OLD), metrics=None)

    assert list(found) == ["new"]
    assert found["new"].counters is None


@pytest.mark.parametrize("fields", [{"ip": ""}, {"finished": True}, {"revision": "unknown"}])
def test_a_pod_that_cannot_be_looked_at_is_not(fields: dict[str, Any]) -> None:
    """It has no address, has ended, or nobody knows what it is."""
    assert looked_at(pod("new", NEW, **fields)) == {}


@pytest.mark.parametrize("fields", [{"ready": False}, {"deleting": True}, {"draining_since": NOON}])
def test_a_pod_that_does_not_serve_is_not_asked_for_its_health(fields: dict[str, Any]) -> None:
    """It may say no as long as it likes."""
    assert looked_at(pod("new", NEW, **fields))["new"].health is None


def test_when_nothing_is_upgraded_only_pods_that_drain_are_looked_at() -> None:
    """They tell when they have finished."""
    draining = pod("leaving", OLD, draining_since=NOON)

    found = looked_at(draining, pod("old", OLD), pod("new", NEW), phase="Succeeded")

    assert list(found) == ["leaving"]
    assert looked_at(draining, phase="Succeeded", metrics=None) == {}


@pytest.mark.parametrize(
    ("port", "url"),
    [
        (8080, "http://10.0.0.1:8080/stats"),
        (9999, "http://10.0.0.1:9999/stats"),
        ("nowhere", None),
    ],
)
def test_metrics_are_where_the_spec_says(port: Any, url: str | None) -> None:
    """A number need not be among the ports of the container; a name has to be."""
    counters = looked_at(pod("old", OLD), metrics=METRICS | {"port": port}).get("old")

    assert (counters.counters.url if counters and counters.counters else None) == url


def test_a_revision_without_ports_or_health_is_not_looked_at() -> None:
    """There is nobody to ask."""
    bare = Revision(
        {"template": {"spec": {"containers": [{"name": "a"}]}}, "configUpdate": "Rollout"}
    )

    assert looked_at(pod("new", NEW), revisions={NEW.hash: bare}) == {}
