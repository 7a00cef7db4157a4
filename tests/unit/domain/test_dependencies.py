"""An Agent that never ran waits for those it depends on; one that ran is never held back."""

from __future__ import annotations

from agentherd.domain.dependencies import circle, waits_for
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
