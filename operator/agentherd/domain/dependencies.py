"""What waits for what: Agents that never ran, and upgrades that have not begun.

Once an Agent has run it is not held back any more, so that a failing dependency takes nothing else
down, and an upgrade that runs waits for nobody. A circle would wait for ever and is told instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from agentherd.api import AgentUpgrade, UpgradePhase
from agentherd.domain.observation import Dependency
from agentherd.domain.upgrades.change import is_running


def waits_for(dependencies: Iterable[Dependency], *, ran: bool) -> tuple[str, ...]:
    """The names the Agent has to wait for; those that do not exist are marked."""
    if ran:
        return ()
    return tuple(
        dependency.name if dependency.exists else f"{dependency.name} (does not exist)"
        for dependency in dependencies
        if not dependency.available
    )


def circle(name: str, dependencies: Iterable[Dependency]) -> str | None:
    """The name of a dependency that waits for `name` in turn, directly or not; None if none."""
    for dependency in dependencies:
        if not dependency.available and name in dependency.needs:
            return dependency.name
    return None


def circle_of_upgrades(name: str, find: Callable[[str], AgentUpgrade | None]) -> tuple[str, ...]:
    """The upgrades by way of which one waits for itself, itself first; () when it does not.

    Of several ways it is a shortest one, and the same from look to look.
    """
    ways: deque[tuple[str, ...]] = deque([(name,)])
    met = set()
    while ways:
        way = ways.popleft()
        for needed in _awaited(find(way[-1])):
            if needed == name:
                return way
            if needed not in met:
                met.add(needed)
                ways.append((*way, needed))
    return ()


def _awaited(upgrade: AgentUpgrade | None) -> tuple[str, ...]:
    """The upgrades without which one does not get to its end."""
    if upgrade is None or is_running(upgrade) or upgrade.status.phase is UpgradePhase.SUCCEEDED:
        return ()
    return upgrade.spec.depends_on
