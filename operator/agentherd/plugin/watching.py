"""A watch carried out: what is seen goes into a `Watched`, and from there to the terminal."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from rich.live import Live

from agentherd.api import Agent
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE
from agentherd.plugin import targets, terminal
from agentherd.plugin.connection import Connection
from agentherd.plugin.following import Following
from agentherd.plugin.live import GONE, Watched
from agentherd.plugin.problems import Problem, Unanswered
from agentherd.plugin.words import has_ended

TICK: Final = 1.0
"""Seconds after which a picture is drawn anew though nothing happened, since it shows how long."""


def watch(connection: Connection, target: str, *, later: bool) -> int:
    """Show what is meant until it has ended; the exit code. `later` waits for the next upgrade."""
    watched, following = _watched(connection, target, later=later)
    console = terminal.console()
    with ExitStack() as stack:
        live = None
        if terminal.is_live(console):
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        for sight in following.sights(tick=TICK):
            if sight is not None:
                watched.take(sight)
            if live is not None:
                live.update(watched.picture(now=datetime.now(UTC)), refresh=True)
            else:
                for line in watched.news():
                    console.print(line)
            code = _code(connection, watched)
            if code is not None:
                return code
    raise AssertionError("a watch ends by what is seen, or by an error")


def _code(connection: Connection, watched: Watched) -> int | None:
    """The exit code, once what is watched has ended.

    The two watches are not in step: one may tell the name of an upgrade before the other tells the
    upgrade. Whether it was deleted is asked for then, of a server that may be away meanwhile.
    """
    code = watched.outcome
    if code != GONE:
        return code
    try:
        return code if targets.named(connection, watched.unseen) is None else None
    except Unanswered:
        return None


def _watched(connection: Connection, target: str, *, later: bool) -> tuple[Watched, Following]:
    found = targets.locate(connection, target)
    only = f"metadata.name={found.metadata.name}"
    if not isinstance(found, Agent):
        if later:
            raise Problem(f"{found.metadata.name} is an upgrade: give --next the name of an Agent")
        watched = Watched(upgrade=found.metadata.name)
        return watched, Following(connection, {AGENT_UPGRADE: only})
    past = None
    if later:
        governing = targets.named(connection, found.status.upgrade)
        over = governing is None or has_ended(governing)
        past = (found.status.upgrade or "") if over else ""
    watched = Watched(agent=found.metadata.name, later_than=past)
    return watched, Following(connection, {AGENT: only, AGENT_UPGRADE: ""})
