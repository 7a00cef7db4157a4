"""In which order Agents start: an Agent that never ran waits for those it depends on.

Once it has run it is not held back any more, so that a failing dependency takes nothing else
down. A circle would wait for ever and is told instead.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentherd.domain.observation import Dependency


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
