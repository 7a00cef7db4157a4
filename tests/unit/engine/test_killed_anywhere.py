"""Killed at any write and started again, the operator reaches the state it would have reached."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from tests.twin import Controllers, Request, Rig, Twin, agent, raw_agent, raw_upgrade
from tests.twin.lives import Chapter, Happening, chapters, state, tellings
from tests.twin.requests import PER_SECOND, Requests

from agentherd.api import AgentUpgrade, AnalysisStatus, Verdict
from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    CHILD_KINDS,
    GATEWAY,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    ROUTE_KINDS,
    SERVICE,
)
from agentherd.domain.revision import revision_of

QUICK: dict[str, Any] = {"scaleDownDelaySeconds": 2, "abortScaleDownDelaySeconds": 2}
STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50, "pause": {"seconds": 2}}]}} | QUICK
HALF = {"canary": {"steps": [{"weight": 50, "pause": {}}]}} | QUICK
"""Waits for a person when half of the requests go to the new version."""

OWN: dict[str, Any] = {"traffic": {"parentRefs": [{"name": "gate"}]}}
SHARED: dict[str, Any] = {"traffic": {"routeRef": {"name": "shared"}}}
METRICS: dict[str, Any] = {"metrics": {}, "drain": {"timeoutSeconds": 4}}
SICK = {"agent:2": "CrashLoopBackOff"}


def created(**spec: Any) -> Happening:
    return Happening(act=lambda twin: twin.put(AGENT, raw_agent(replicas=2, **spec)))


def changed(*, sick: dict[str, str] | None = None, image: str = "", **spec: Any) -> Happening:
    if image:
        spec["template"] = raw_agent(image=image)["spec"]["template"]
    return Happening(act=lambda twin: twin.edit(AGENT, "greeter", {"spec": spec}), sick=sick or {})


def steered(name: str = "greeter-2", **spec: Any) -> Happening:
    return Happening(act=lambda twin: twin.edit(AGENT_UPGRADE, name, {"spec": spec}))


def routed(twin: Twin) -> None:
    """A route of a person's with rules of their own, and an Agent behind it."""
    ours: dict[str, Any] = {"name": "greeter", "port": 8080, "weight": 90}
    others: dict[str, Any] = {"name": "legacy", "port": 80, "weight": 10}
    rules = [{"backendRefs": [ours, others]}, {"backendRefs": [{"name": "static", "port": 80}]}]
    route = {"metadata": {"name": "shared", "namespace": "default"}, "spec": {"rules": rules}}
    twin.put(HTTP_ROUTE, {"apiVersion": HTTP_ROUTE.api_version, "kind": "HTTPRoute"} | route)
    twin.put(AGENT, raw_agent(replicas=2, upgradePolicy=STEPS, **SHARED))


def asked(twin: Twin) -> None:
    """A person's upgrade of version and image."""
    to = {"image": "agent:2", "version": "2.0.0"}
    twin.put(AGENT_UPGRADE, raw_upgrade("by-hand", to=to, strategy=HALF))


def mirrored(twin: Twin) -> None:
    """An Agent that has copies made, and a Gateway that can do it."""
    gate = {"metadata": {"name": "gate", "namespace": "default"}, "spec": {"gatewayClassName": "c"}}
    features = [{"name": "HTTPRouteRequestPercentageMirror"}]
    twin.put(GATEWAY_CLASS, {"metadata": {"name": "c"}, "status": {"supportedFeatures": features}})
    twin.put(GATEWAY, gate)
    steps = [{"weight": 0, "mirror": 50, "pause": {"seconds": 2}}, {"weight": 50}]
    policy = {"canary": {"steps": steps}} | QUICK
    twin.put(AGENT, raw_agent(replicas=2, upgradePolicy=policy, **OWN))


JUDGED: dict[str, Any] = {
    "canary": {"steps": [{"weight": 20, "pause": {"seconds": 30}}]},
    "analysis": {"warmUpSeconds": 1, "minimumRequests": 50},
} | QUICK


def judged(*failing: str) -> tuple[Happening, ...]:
    """A canary whose pods answer requests, which every other one of the failing images does not."""
    requests = Requests(failing=frozenset(failing))
    return (
        created(upgradePolicy=JUDGED, **METRICS, **OWN),
        replace(changed(image="agent:2"), requests=requests),
    )


HALFWAY = (created(upgradePolicy=HALF, **OWN), changed(image="agent:2"))

LIVES: dict[str, tuple[Happening, ...]] = {
    "replicas": (
        created(version="1.0.0", config={"a": "1"}, revisionHistoryLimit=0, upgradePolicy=STEPS),
        changed(image="agent:2", version="2.0.0"),
        changed(replicas=3),
        changed(configUpdate="InPlace"),
        changed(config={"a": "2"}),
        changed(operatingMode="Offline"),
        changed(operatingMode="Running"),
        changed(replicas=1),
    ),
    "own route": (created(upgradePolicy=STEPS, **OWN), changed(image="agent:2")),
    "shared route": (Happening(act=routed), changed(image="agent:2")),
    "copies": (Happening(act=mirrored), changed(image="agent:2")),
    "rollback": (*HALFWAY, Happening(sick=SICK)),
    "rollback without a route": (
        created(upgradePolicy=HALF),
        changed(image="agent:2"),
        Happening(sick=SICK),
    ),
    "superseded": (*HALFWAY, changed(image="agent:3", upgradePolicy=STEPS)),
    "by hand": (
        created(version="1.0.0", **OWN),
        Happening(act=asked),
        steered("by-hand", promote={"full": True}),
    ),
    "drain": (
        created(upgradePolicy={"type": "BlueGreen"} | QUICK, **METRICS),
        changed(image="agent:2"),
    ),
    "approved": (
        created(upgradePolicy=STEPS | {"automation": "SemiAuto"}, **OWN),
        changed(image="agent:2"),
        steered(approval={"approvedBy": "ada"}),
    ),
    "approved before it begins": (
        created(upgradePolicy=STEPS | {"automation": "Manual"}),
        changed(image="agent:2", operatingMode="Suspended"),
        changed(operatingMode="Running"),
        steered(approval={"approvedBy": "ada"}),
    ),
    "judged good": judged(),
    "judged bad": judged("agent:2"),
}
"""Every kind of write occurs: create, promote, forget, scale, reload, stop, start, delete."""

ALIKE = {
    "copies 1",
    "rollback 1",
    "rollback without a route 1",
    "rollback without a route 2",
    "superseded 1",
    "superseded 2",
    "by hand 1",
    "drain 1",
    "approved 1",
    "approved before it begins 1",
    "judged good 1",
    "judged bad 1",
}
"""Chapters in which the same is written as in one before."""

CHAPTERS = [
    chapter
    for name, life in LIVES.items()
    for chapter in chapters(name, life)
    if chapter.name not in ALIKE
]
EACH = pytest.mark.parametrize("chapter", [pytest.param(c, id=c.name) for c in CHAPTERS])


def test_the_lives_without_a_kill_contain_every_kind_of_write() -> None:
    """What is killed below is the whole of what the operator writes."""
    verbs = {(r.verb, r.kind.name) for chapter in CHAPTERS for r in chapter.end.requests}

    assert verbs >= {
        ("APPLY", "Service"),
        ("APPLY", "ReplicaSet"),
        ("APPLY", "ConfigMap"),
        ("APPLY", "ControllerRevision"),
        ("APPLY", "HTTPRoute"),
        ("APPLY", "PodDisruptionBudget"),
        ("APPLY", "ServiceAccount"),
        ("APPLY_STATUS", "Agent"),
        ("APPLY_STATUS", "AgentUpgrade"),
        ("CREATE", "AgentUpgrade"),
        ("CREATE", "Event"),
        ("DELETE", "AgentUpgrade"),
        ("DELETE", "ConfigMap"),
        ("DELETE", "ControllerRevision"),
        ("DELETE", "PodDisruptionBudget"),
        ("DELETE", "ReplicaSet"),
        ("DELETE", "Service"),
        ("PATCH", "Agent"),
        ("PATCH", "HTTPRoute"),
        ("PATCH", "Pod"),
    }


@EACH
def test_a_kill_at_any_write_changes_nothing_about_the_end(chapter: Chapter) -> None:
    """The same objects, the same history, nothing told twice, and nothing without an owner."""
    end, told = state(chapter.end), tellings(chapter.end)

    for moment in chapter.moments:
        twin = chapter.after_death(moment)

        where = f"killed {moment.when} write {moment.write}"
        assert state(twin) == end, where
        assert tellings(twin) <= told, where
        assert not Controllers(twin).orphans(), where


@EACH
def test_an_answer_that_is_lost_changes_nothing_about_the_end(chapter: Chapter) -> None:
    """The write took place and nobody knows; the same process goes on and finds out."""
    end, told = state(chapter.end), tellings(chapter.end)

    for number in chapter.writes:
        twin = chapter.once_more(lost=number, error=Unreachable("connection reset"))

        assert state(twin) == end, f"the answer to write {number} is lost"
        assert tellings(twin) <= told, f"the answer to write {number} is lost"


@EACH
async def test_nothing_is_left_of_an_agent_that_is_deleted(chapter: Chapter) -> None:
    """At whatever point of its life; routes and upgrades of people stay."""
    twin = chapter.end.fork()
    twin.remove(AGENT, "greeter")
    Controllers(twin).collect()

    await Rig(twin).until_quiet()

    assert [kind.name for kind in CHILD_KINDS if twin.names(kind)] == []
    assert set(twin.names(AGENT_UPGRADE)) <= {"by-hand"}
    assert {name for kind in ROUTE_KINDS for name in twin.names(kind)} <= {"shared"}


@EACH
def test_no_upgrade_tells_a_step_of_its_way_twice(chapter: Chapter) -> None:
    """Each entry of the history is one move; a way back to the first step says so."""
    for raw in chapter.end.all(AGENT_UPGRADE):
        told = [(e["phase"], e["reason"], e["message"]) for e in raw["status"]["history"]]
        assert len(told) == len(set(told))


ROUTED = [chapter for chapter in CHAPTERS if chapter.name.startswith("shared route")]


@pytest.mark.parametrize("chapter", [pytest.param(c, id=c.name) for c in ROUTED])
def test_what_others_have_in_a_shared_route_is_untouched_at_any_moment(chapter: Chapter) -> None:
    """Whoever dies when: their share, and their rules."""
    for moment in chapter.moments:
        if not moment.twin.names(HTTP_ROUTE):
            continue
        first, second = moment.twin.live(HTTP_ROUTE, "shared")["spec"]["rules"]
        theirs = [each for each in first["backendRefs"] if each["name"] == "legacy"]
        total = sum(each["weight"] for each in first["backendRefs"])

        assert theirs[0]["weight"] * 10 == total
        assert second == {"backendRefs": [{"name": "static", "port": 80}]}


def test_copies_are_made_at_their_step_only() -> None:
    """The route gets the filter once, before the weight, and loses it before the next one."""
    end = next(chapter for chapter in CHAPTERS if chapter.name == "copies 2").end
    written = [
        (request.body or {})["spec"]["rules"][0]
        for request in end.requests
        if (request.verb, request.kind) == ("APPLY", HTTP_ROUTE)
    ]
    copied = ["filters" in rule for rule in written]
    weights = [rule["backendRefs"][-1].get("weight", 1) for rule in written]

    assert copied == [True, False, False, False]
    assert weights == [0, 0, 50, 1]


def first_write(name: str) -> Request:
    """The first write of the operator in a chapter."""
    requests = next(chapter for chapter in CHAPTERS if chapter.name == name).end.requests
    return next(r for r in requests if r.verb not in {"GET", "LIST", "WATCH"})


def test_a_rollback_takes_the_weight_away_before_anything_is_said_about_it() -> None:
    """It is the first write that leaves the process."""
    write = first_write("rollback 3")

    rules = (write.body or {})["spec"]["rules"]
    weights = {each["name"]: each.get("weight", 1) for each in rules[0]["backendRefs"]}
    assert (write.verb, write.kind) == ("APPLY", HTTP_ROUTE)
    assert weights.pop("greeter") > 0
    assert set(weights.values()) <= {0}


def test_a_rollback_without_a_route_switches_the_service_first() -> None:
    """To the pods of the old version alone."""
    write = first_write("rollback without a route 3")

    selector = (write.body or {})["spec"]["selector"]
    assert (write.verb, write.kind, write.key.name) == ("APPLY", SERVICE, "greeter")
    assert selector["agentherd.dev/revision"] == revision_of(agent().spec).hash


def analysis(twin: Twin) -> AnalysisStatus:
    """The analysis of the only upgrade."""
    [raw] = twin.all(AGENT_UPGRADE)
    found = AgentUpgrade.model_validate(raw).status.analysis
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "phase", "verdict"),
    [("judged good 2", "Succeeded", Verdict.PASS), ("judged bad 2", "RolledBack", Verdict.FAIL)],
)
def test_what_is_judged_ends_as_it_has_to(name: str, phase: str, verdict: Verdict) -> None:
    """These are two of the lives that are disturbed above."""
    [chapter] = [each for each in CHAPTERS if each.name == name]
    [raw] = chapter.end.all(AGENT_UPGRADE)

    assert (raw["status"]["phase"], analysis(chapter.end).verdict) == (phase, verdict)


def test_each_second_is_counted_once_whoever_dies_when() -> None:
    """As every pod answers as many requests in each, between two looks it is so many."""
    [chapter] = [each for each in CHAPTERS if each.name == "judged bad 2"]
    ends = [(m.write, chapter.after_death(m)) for m in chapter.moments]

    for write, end in [(0, chapter.end), *ends]:
        looks = analysis(end).looks
        seconds = [int((b.at - a.at).total_seconds()) for a, b in pairwise(looks)]

        counted = [look.canary.requests for look in looks[1:]]
        assert counted == [PER_SECOND * each for each in seconds], f"killed at write {write}"
        assert analysis(end).canary.requests == sum(look.canary.requests for look in looks)
