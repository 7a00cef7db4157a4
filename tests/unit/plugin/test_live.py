"""When a watch ends, with which code, and what it prints into a pipe."""

from __future__ import annotations

import pytest
from tests.unit.plugin.samples import agent, at, entry, judged, succeeded, upgrade, worse

from agentherd.api import Agent, AgentUpgrade
from agentherd.domain.kinds import AGENT_UPGRADE
from agentherd.plugin.following import Sight
from agentherd.plugin.live import GONE, ROLLED_BACK, SUCCEEDED, Watched


def of_upgrade(*found: AgentUpgrade) -> Watched:
    watched = Watched(upgrade="hello-3")
    watched.show([], [*found])
    return watched


def of_agent(agents: list[Agent], *found: AgentUpgrade, later_than: str | None = None) -> Watched:
    watched = Watched(agent="hello", later_than=later_than)
    watched.show(agents, [*found])
    return watched


def lines(watched: Watched) -> list[str]:
    return [line.plain for line in watched.news()]


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (judged(), None),
        (succeeded(), SUCCEEDED),
        (worse(), ROLLED_BACK),
        (succeeded(phase="Superseded"), GONE),
        (succeeded(observedGeneration=0), None),
        (worse(attempt=1, observedGeneration=0), None),
        (upgrade(phase="RollingBack"), None),
    ],
)
def test_a_watch_ends_with_its_upgrade(found: AgentUpgrade, code: int | None) -> None:
    """The exit code says how; what was just asked for is waited for."""
    assert of_upgrade(found).outcome == code


def test_a_watch_of_an_upgrade_that_was_tried_again_goes_on() -> None:
    """The operator has not begun the attempt yet."""
    found = worse()
    found = found.model_copy(update={"spec": found.spec.model_copy(update={"attempt": 2})})

    assert of_upgrade(found).outcome is None


def test_a_watch_ends_when_what_is_watched_is_gone() -> None:
    """Nobody waits for something that does not exist."""
    assert of_upgrade().outcome == GONE
    assert of_agent([]).outcome == GONE
    assert of_agent([agent()]).outcome == GONE


def test_a_watch_does_not_end_before_anything_was_seen() -> None:
    """Nothing is known yet."""
    assert Watched(agent="hello").outcome is None
    assert Watched(upgrade="hello-3").outcome is None


def test_a_watch_of_an_agent_follows_the_upgrade_that_governs() -> None:
    """The one that its status names, also when a later one takes its place."""
    watched = of_agent([agent()], succeeded("hello-2"), judged())

    assert watched.outcome is None
    assert watched.present == judged()

    watched.show([agent(status={"upgrade": "hello-4"})], [judged(), succeeded("hello-4")])

    assert watched.outcome == SUCCEEDED


def test_a_watch_of_an_agent_waits_until_its_spec_was_seen() -> None:
    """The upgrade of a change that was just applied does not exist yet."""
    stale = agent(status={"observedGeneration": 2, "upgrade": "hello-2"})

    assert of_agent([stale], succeeded("hello-2")).outcome is None


def test_a_watch_can_wait_for_the_next_upgrade() -> None:
    """What has ended before is no answer then."""
    watched = of_agent([agent()], succeeded(), later_than="hello-3")

    assert watched.outcome is None
    assert watched.present is None

    watched.show([agent(status={"upgrade": "hello-4"})], [succeeded(), worse("hello-4")])

    assert watched.outcome == ROLLED_BACK


def test_an_agent_without_any_upgrade_has_nothing_to_be_watched() -> None:
    """Its creation is none."""
    assert of_agent([agent(status={"upgrade": None})]).outcome == SUCCEEDED


def test_a_pipe_gets_each_thing_once() -> None:
    """The latest of what was there, then what happens."""
    watched = of_upgrade(judged())
    first = lines(watched)
    again = lines(watched)
    watched.show([], [worse()])

    later = lines(watched)

    assert [line.split(":")[0] for line in first] == ["hello-3  12", "hello-3  12"]
    assert again == []
    assert [word for line in later for word in ("RollingBack", "verdict Fail") if word in line] == [
        "RollingBack",
        "verdict Fail",
    ]


def test_a_server_that_is_away_is_told_once_and_forgets_nothing() -> None:
    """What was seen last stays in the picture."""
    watched = of_upgrade(upgrade(history=[entry("Progressing", "StepReached", "", 5)]))
    lines(watched)
    away = Sight(AGENT_UPGRADE, trouble="no answer")
    watched.take(away)

    told = [*lines(watched), *lines(watched)]

    assert told == ["no answer"]
    assert watched.present is not None
    assert watched.outcome is None
    assert at(0) == "2026-11-21T12:00:00Z"
