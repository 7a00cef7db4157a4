"""Fresh pods of the stable version come with a canary and leave nothing, whoever dies when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent
from tests.twin.lives import Chapter, Happening, chapters, state, tellings
from tests.twin.requests import Requests
from tests.twin.rig import loop_clock

from agentherd.api import UpgradePhase
from agentherd.domain.decide import decide
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    BASELINE_LABEL,
    HTTP_ROUTE,
    POD,
    REPLICA_SET,
)
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Emit, Plan, Ref, WriteStatus

POLICY: Final[dict[str, Any]] = {
    "canary": {"steps": [{"weight": 50, "pause": {"seconds": 3}}]},
    "analysis": {
        "baseline": "Fresh",
        "warmUpSeconds": 1,
        "intervalSeconds": 1,
        "minimumRequests": 10,
    },
    "scaleDownDelaySeconds": 2,
    "abortScaleDownDelaySeconds": 2,
}
ROUTED: Final[dict[str, Any]] = {"traffic": {"parentRefs": [{"name": "gate"}]}, "metrics": {}}


def created(twin: Twin) -> None:
    twin.put(AGENT, raw_agent(replicas=2, upgradePolicy=POLICY, **ROUTED))


def changed(twin: Twin) -> None:
    template = raw_agent(image="agent:2")["spec"]["template"]
    twin.edit(AGENT, "greeter", {"spec": {"template": template}})


def held(twin: Twin) -> None:
    template = raw_agent(image="agent:2")["spec"]["template"]
    policy = POLICY | {"canary": {"steps": [{"weight": 50, "pause": {}}]}}
    twin.edit(AGENT, "greeter", {"spec": {"template": template, "upgradePolicy": policy}})


def undone(twin: Twin) -> None:
    asked = {"spec": {"rollback": {"requested": True, "reason": "no"}}}
    twin.edit(AGENT_UPGRADE, "greeter-2", asked)


GOOD: Final = Happening(act=changed, requests=Requests())
BAD: Final = replace(GOOD, requests=Requests(failing=frozenset({"agent:2"})))
HELD: Final = Happening(act=held)
BEGINNING: Final = Happening(act=created)
CHAPTERS = [
    chapters("good", (BEGINNING, GOOD))[-1],
    chapters("bad", (BEGINNING, BAD))[-1],
    chapters("undone", (BEGINNING, HELD, replace(GOOD, act=undone)))[-1],
]
EACH = pytest.mark.parametrize("chapter", [pytest.param(c, id=c.name) for c in CHAPTERS])


def fresh(twin: Twin) -> list[str]:
    """The names of all that belongs to a baseline."""
    return [
        raw["metadata"]["name"]
        for kind in (REPLICA_SET, POD)
        for raw in twin.all(kind)
        if BASELINE_LABEL in raw["metadata"].get("labels", {})
    ]


def objects(twin: Twin) -> dict[str, Any]:
    """All but the upgrade."""
    return {kind: found for kind, found in state(twin).items() if kind != AGENT_UPGRADE.name}


def phase(twin: Twin) -> Any:
    return twin.live(AGENT_UPGRADE, "greeter-2")["status"]["phase"]


def test_the_lives_end_as_the_comparison_says() -> None:
    """Fresh pods are there in each of them, and gone at the end."""
    assert [phase(chapter.end) for chapter in CHAPTERS] == ["Succeeded", "RolledBack", "RolledBack"]
    for chapter in CHAPTERS:
        assert any(fresh(moment.twin) for moment in chapter.moments), chapter.name
        assert not fresh(chapter.end), chapter.name


@EACH
def test_a_kill_at_any_write_leaves_no_fresh_pod(chapter: Chapter) -> None:
    """The same objects and the same end, nothing told twice, and nothing without an owner.

    What was seen until then, in words, depends on when somebody looked.
    """
    end, told = objects(chapter.end), tellings(chapter.end)

    for moment in chapter.moments:
        twin = chapter.after_death(moment)

        where = f"killed {moment.when} write {moment.write}"
        assert not fresh(twin), where
        assert (objects(twin), phase(twin)) == (end, phase(chapter.end)), where
        assert tellings(twin) <= told, where
        assert not Controllers(twin).orphans(), where


def test_fresh_pods_are_as_many_as_the_new_version_has_and_change_no_other_size() -> None:
    async def life() -> Twin:
        rig = Rig(Twin(loop_clock))
        created(rig.twin)
        await rig.until_quiet()
        held(rig.twin)
        await rig.until_quiet()
        return rig.twin

    twin = in_fake_time(life)

    sizes = {raw["metadata"]["name"]: raw["spec"]["replicas"] for raw in twin.all(REPLICA_SET)}
    baseline = next(name for name in sizes if name.endswith("-baseline"))
    assert sizes.pop(baseline) == 1
    assert sizes.pop(baseline.removesuffix("-baseline")) == 2
    assert list(sizes.values()) == [1]


def writes(plan: Plan) -> list[Ref]:
    """What a plan writes, but for statuses and Events."""
    return [each.ref for each in plan.intents if not isinstance(each, WriteStatus | Emit)]


def test_a_fresh_pod_that_is_alone_answers_for_the_stable_version() -> None:
    """With one replica that is not ready, the weight stays what it is and no fresh pod leaves."""

    async def life() -> tuple[AgentObservation, datetime]:
        rig = Rig(Twin(loop_clock))
        rig.twin.put(AGENT, raw_agent(replicas=1, upgradePolicy=POLICY, **ROUTED))
        await rig.until_quiet()
        held(rig.twin)
        await rig.until_quiet()
        return rig.seen(), loop_clock()

    seen, now = in_fake_time(life)
    stable = seen.agent.status.stable_revision or ""
    fresh = next(view.name for view in seen.baselines())
    own = next(view for view in seen.sets() if view.revision == stable)
    gone = {own.name: replace(own, ready=0, available=0)}
    pods = {pod.name: replace(pod, ready=False) for pod in seen.pods_of(stable)}
    sick = replace(seen, replica_sets={**seen.replica_sets, **gone}, pods={**seen.pods, **pods})
    back = {"phase": UpgradePhase.ROLLED_BACK, "weight": 0}
    upgrade = seen.upgrades["greeter-2"]
    status = upgrade.upgrade.status.model_copy(update=back)
    over = replace(upgrade, upgrade=upgrade.upgrade.model_copy(update={"status": status}))

    held_on = writes(decide(sick, now))
    taken_back = writes(decide(replace(sick, upgrades={"greeter-2": over}), now))

    assert HTTP_ROUTE.name not in {kind for kind, _ in held_on}
    assert HTTP_ROUTE.name in {kind for kind, _ in taken_back}
    assert not [name for _, name in taken_back if name.startswith(fresh)]


def test_only_what_fresh_pods_do_is_compared() -> None:
    """Each pod answers as much: of the three stable ones one counts."""
    analysis = CHAPTERS[0].end.live(AGENT_UPGRADE, "greeter-2")["status"]["analysis"]

    assert analysis["canary"]["requests"] == analysis["stable"]["requests"] > 0
