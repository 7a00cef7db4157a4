"""Killed at any write of an upgrade with a tester, the operator runs it once and hears its end."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent
from tests.twin.lives import Chapter, Happening, chapters, state, tellings
from tests.twin.rig import loop_clock

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, JOB

SMOKE: Final = {
    "name": "smoke",
    "job": {"template": {"spec": {"containers": [{"name": "try", "image": "try:1"}]}}},
}
POLICY: Final = {
    "canary": {"steps": [{"weight": 50, "pause": {"seconds": 2}}]},
    "analysis": {"metrics": [SMOKE]},
    "scaleDownDelaySeconds": 2,
    "abortScaleDownDelaySeconds": 2,
}


def created(twin: Twin) -> None:
    twin.put(AGENT, raw_agent(replicas=2, upgradePolicy=POLICY))


def changed(twin: Twin) -> None:
    template = raw_agent(image="agent:2")["spec"]["template"]
    twin.edit(AGENT, "greeter", {"spec": {"template": template}})


def ended(kind: str) -> Happening:
    """The Job ends so."""

    def act(twin: Twin) -> None:
        at = loop_clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": kind, "status": "True", "lastTransitionTime": at}
        twin.edit(JOB, "greeter-2-smoke-1", {"status": {"conditions": [condition]}}, manager="job")

    return Happening(act=act)


BEGINNING: Final = (Happening(act=created), Happening(act=changed))
PASSED = list(chapters("passed", (*BEGINNING, ended("Complete"))))
FAILED = list(chapters("failed", (*BEGINNING, ended("Failed"))))
CHAPTERS = [*PASSED[1:], FAILED[-1]]
EACH = pytest.mark.parametrize("chapter", [pytest.param(c, id=c.name) for c in CHAPTERS])


def phase(twin: Twin) -> Any:
    return twin.live(AGENT_UPGRADE, "greeter-2")["status"]["phase"]


def test_the_lives_end_as_their_testers_say() -> None:
    assert [phase(chapter.end) for chapter in CHAPTERS] == ["Paused", "Succeeded", "RolledBack"]


@EACH
def test_a_kill_at_any_write_changes_nothing_about_the_end(chapter: Chapter) -> None:
    """The same objects, one Job, nothing told twice, and nothing without an owner."""
    end, told = state(chapter.end), tellings(chapter.end)

    for moment in chapter.moments:
        twin = chapter.after_death(moment)

        where = f"killed {moment.when} write {moment.write}"
        assert state(twin) == end, where
        assert twin.names(JOB) == ["greeter-2-smoke-1"], where
        assert tellings(twin) <= told, where
        assert not Controllers(twin).orphans(), where


@EACH
def test_an_answer_that_is_lost_changes_nothing_about_the_end(chapter: Chapter) -> None:
    """The write took place and nobody knows."""
    end = state(chapter.end)

    for number in chapter.writes:
        twin = chapter.once_more(lost=number, error=Unreachable("connection reset"))

        assert (state(twin), twin.names(JOB)) == (end, ["greeter-2-smoke-1"])


@EACH
async def test_a_job_goes_with_its_agent(chapter: Chapter) -> None:
    twin = chapter.end.fork()
    twin.remove(AGENT, "greeter")
    Controllers(twin).collect()

    await Rig(twin).until_quiet()

    assert twin.names(JOB) == []
