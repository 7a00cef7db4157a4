"""An Agent that never ran waits for those it depends on; one that ran is never held back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.api import AgentUpgrade
from agentherd.domain.dependencies import circle, circle_of_upgrades, waits_for
from agentherd.domain.observation import Dependency

UP = Dependency("model", exists=True, available=True)
DOWN = Dependency("store", exists=True, available=False)
MISSING = Dependency("typo", exists=False, available=False)


def test_an_agent_waits_for_what_is_not_available() -> None:
    """Those that do not exist are marked, because that is usually a misspelling."""
    assert waits_for([UP, DOWN, MISSING], ran=False) == ("store", "typo (does not exist)")


def test_an_agent_that_ran_is_not_held_back() -> None:
    """A failing dependency takes nothing else down."""
    assert waits_for([DOWN, MISSING], ran=True) == ()


def test_two_that_wait_for_each_other_are_a_circle() -> None:
    """It is told by the name of the one that closes it."""
    other = Dependency("store", exists=True, available=False, needs=frozenset({"greeter"}))

    assert circle("greeter", [UP, other]) == "store"


def test_a_dependency_that_is_available_closes_no_circle() -> None:
    """What runs already waits for nobody."""
    other = Dependency("store", exists=True, available=True, needs=frozenset({"greeter"}))

    assert circle("greeter", [other, DOWN]) is None


# Upgrades


def waiting(phases: dict[str, str] | None = None, /, **needs: str) -> Callable[[str], Any]:
    """Upgrades by name, each with the names that it depends on."""
    known = {
        name: AgentUpgrade.model_validate(
            {
                "metadata": {"name": name, "namespace": "default", "uid": name},
                "spec": {"targetRef": {"name": "greeter"}, "dependsOn": others.split()},
                "status": {"phase": (phases or {}).get(name)},
            }
        )
        for name, others in needs.items()
    }
    return known.get


@pytest.mark.parametrize(
    ("find", "circle"),
    [
        (waiting(a="b", b=""), ()),
        (waiting(a="gone"), ()),
        (waiting(a="a"), ("a",)),
        (waiting(a="b", b="a"), ("a", "b")),
        (waiting(a="b c", b="d", c="a", d="a"), ("a", "c")),
        (waiting(a="b", b="c", c="d", d="a"), ("a", "b", "c", "d")),
        (waiting(a="b", b="c", c="b"), ()),
        (waiting({"b": "Pending"}, a="b", b="a"), ("a", "b")),
        (waiting({"b": "RolledBack"}, a="b", b="a"), ("a", "b")),
        (waiting({"b": "Progressing"}, a="b", b="a"), ()),
        (waiting({"b": "Succeeded"}, a="b", b="a"), ()),
    ],
)
def test_an_upgrade_that_waits_for_itself_is_found(
    find: Callable[[str], Any], circle: tuple[str, ...]
) -> None:
    """By the shortest way; one that runs or has succeeded waits for nobody."""
    assert circle_of_upgrades("a", find) == circle


@given(
    needs=st.dictionaries(
        st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")), min_size=1
    ),
    name=st.sampled_from("abcdef"),
)
def test_every_name_in_a_circle_needs_the_next(needs: dict[str, set[str]], name: str) -> None:
    """And without one, nothing that is waited for leads back."""
    found = circle_of_upgrades(name, waiting(**{n: " ".join(o) for n, o in needs.items()}))

    pairs = zip(found, (*found[1:], *found[:1]), strict=True)
    assert all(then in needs[first] for first, then in pairs)
    assert bool(found) is (name in reached(needs, name))


def reached(needs: dict[str, set[str]], name: str) -> set[str]:
    """All that is waited for, directly or not."""
    found = set(needs.get(name, ()))
    for _ in needs:
        found |= {far for near in found for far in needs.get(near, ())}
    return found
