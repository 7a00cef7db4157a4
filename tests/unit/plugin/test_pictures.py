"""All that is shown of an upgrade, at widths people have, as it was looked at and found good."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import RenderableType
from tests.unit.plugin.conftest import Check, drawn
from tests.unit.plugin.samples import (
    NEW,
    NOW,
    OLD,
    OLDER,
    agent,
    failed_by_tester,
    hostile,
    judged,
    pending,
    pod,
    replica_set,
    strategy,
    succeeded,
    upgrade,
    worse,
)

from agentherd.api import AgentUpgrade
from agentherd.plugin.chart import chart
from agentherd.plugin.explanation import explanation
from agentherd.plugin.live import Watched
from agentherd.plugin.overview import agent_block, agents_table, upgrade_block
from agentherd.plugin.targets import read
from agentherd.plugin.tree import family, tree

Picture = Callable[[int], RenderableType]


def fleet(width: int) -> RenderableType:
    agents = [agent(), agent("checkout", status={"upgrade": None, "phase": "Error"})]
    return agents_table(agents, [judged()], width=width, everywhere=False)


def everywhere(width: int) -> RenderableType:
    return agents_table([agent()], [judged()], width=width, everywhere=True)


def whole_tree(_width: int) -> RenderableType:
    broken = {"restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    pods = [
        pod("hello-404ddc5402-aaaaa", OLD),
        pod("hello-404ddc5402-bbbbb", OLD),
        pod("hello-9abc01ef22-ccccc", NEW, ready=False, containerStatuses=[broken]),
    ]
    known = [judged(), succeeded("hello-2"), worse("hello-1")]
    sets = [replica_set(each) for each in (OLD, NEW, OLDER)]
    return tree(family(agent(), known, replica_sets=sets, pods=pods, now=NOW))


def watching(_width: int) -> RenderableType:
    watched = Watched(agent="hello")
    watched.show([agent()], [judged()])
    return watched.picture(now=NOW)


def of(found: AgentUpgrade) -> Picture:
    return lambda _width: upgrade_block(found, now=NOW)


def why(found: AgentUpgrade) -> Picture:
    return lambda _width: explanation(found, now=NOW)


def curve(found: AgentUpgrade) -> Picture:
    return lambda width: chart(found, width=width)


PICTURES: dict[str, Picture] = {
    "status-all": fleet,
    "status-everywhere": everywhere,
    "status-agent": lambda _width: agent_block(agent(), judged(), now=NOW),
    "status-judged": of(judged()),
    "status-pending": of(pending()),
    "status-rolled-back": of(worse()),
    "status-succeeded": of(succeeded()),
    "tree": whole_tree,
    "watch": watching,
    "explain-judged": why(judged()),
    "explain-rolled-back": why(worse()),
    "explain-pending": why(pending()),
    "explain-tested": why(failed_by_tester()),
    "explain-without-analysis": why(upgrade(strategy=strategy() | {"analysis": None})),
    "explain-without-requests": why(upgrade()),
    "chart": curve(worse()),
}


@pytest.mark.parametrize("width", [40, 100])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_one_that_was_found_good(name: str, width: int, check: Check) -> None:
    """Nothing that is shown changes without somebody having looked at it."""
    check(f"{name}-{width}.txt", drawn(PICTURES[name](width), width=width))


@pytest.mark.parametrize("name", ["explain-rolled-back", "status-all", "watch", "chart", "tree"])
def test_colours_are_the_ones_that_were_found_good(name: str, check: Check) -> None:
    """The same, with colours."""
    check(f"{name}-colour.txt", drawn(PICTURES[name](80), width=80, colour=True))


@given(name=st.sampled_from(sorted(PICTURES)), width=st.integers(20, 200))
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    """However narrow it is, nothing is cut off by it."""
    lines = drawn(PICTURES[name](width), width=width).splitlines()

    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("name", PICTURES)
def test_without_colour_there_are_no_control_characters(name: str) -> None:
    """What goes into a pipe is text."""
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", drawn(PICTURES[name](80)))


def test_errors_that_nobody_tells_are_not_called_none() -> None:
    """No data is not good data."""
    found = judged()
    silent = found.model_dump(by_alias=True, exclude_none=True)
    silent["status"]["analysis"]["pods"] = [{"uid": "a", "requests": 500}]

    shown = drawn(of(AgentUpgrade.model_validate(silent))(80))

    assert re.search(r"^new +500 +–", shown, re.MULTILINE)


def test_a_chart_draws_nothing_of_what_nobody_tells() -> None:
    """A line at the bottom would be a version without errors, and one that answers at once."""
    found = judged().model_dump(by_alias=True, exclude_none=True)
    analysis = found["status"]["analysis"]
    analysis["pods"] = [{"uid": "a", "requests": 500}]
    for look in analysis["looks"]:
        for name in ("canary", "stable"):
            look[name] |= {"timed": 0, "microseconds": 0}

    shown = drawn(chart(AgentUpgrade.model_validate(found), width=80))

    assert "errors  not told" in shown
    assert "mean latency  not told" in shown
    assert not re.search("^(new|old) +▁", shown, re.MULTILINE)


def test_what_others_wrote_moves_no_cursor() -> None:
    """A comment in the cluster is no way into the terminal of whoever reads it."""
    found = read(AgentUpgrade, hostile().model_dump(by_alias=True, exclude_none=True))

    shown = drawn(why(found)(80), colour=True)

    assert "owned" in shown
    without_colours = re.sub("\x1b\\[[0-9;]*m", "", shown)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", without_colours)
    assert "\x1b[31meve" not in shown
