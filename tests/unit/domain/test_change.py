"""Who decides what is wanted of an Agent: its spec, or one upgrade at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.samples import NOON
from tests.unit.domain.choices import RECORDS, asks, at, ended, hash_of, reason_of, running
from tests.unit.domain.samples import seen_upgrade, upgraded

from agentherd.api import UpgradePhase
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.reasons import Reason
from agentherd.domain.upgrades.change import (
    Choice,
    choose,
    is_asked_again,
    is_asked_in_vain,
    is_running,
)

AGAIN = f"greeter-2-{hash_of(2)}"


# The spec


def test_before_anything_was_available_the_spec_counts_alone() -> None:
    """There is nothing to protect yet."""
    person = seen_upgrade("mine", to={"version": "9.0.0"})
    choice = choose(at(1, person, running("other", 2), stable=None))

    assert (choice.name, choice.goal.hash, choice.make) == (None, hash_of(1), False)
    assert choice.superseded == {"other"}
    assert reason_of(choice.objections["mine"]) is Reason.NEVER_AVAILABLE


def test_before_anything_was_available_what_is_wrong_is_told_all_the_same() -> None:
    """It will not get better by waiting."""
    choice = choose(at(1, seen_upgrade("mine", to={"revision": "0" * 10}), stable=None))

    assert reason_of(choice.objections["mine"]) is Reason.REVISION_NOT_FOUND


def test_without_a_change_what_serves_is_wanted() -> None:
    """And nothing is made."""
    choice = choose(at(1))

    assert (choice.name, choice.goal.hash, choice.make) == (None, hash_of(1), False)


def test_a_changed_spec_asks_for_an_upgrade_of_its_own() -> None:
    """Named by its generation, so it is the same however often it is asked for."""
    choice = choose(at(2))

    assert (choice.name, choice.goal.hash, choice.make) == ("greeter-2", hash_of(2), True)


def test_an_upgrade_that_was_made_just_now_is_not_made_again() -> None:
    """As after a kill between its creation and the Agent's status."""
    made = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})

    choice = choose(at(2, made))

    assert (choice.name, choice.goal.hash, choice.make) == ("greeter-2", hash_of(2), False)
    assert choice.superseded == set()


@pytest.mark.parametrize(
    "theirs",
    [
        ended("greeter-2", "Succeeded", 1),
        seen_upgrade("greeter-2", to={"version": "9.0.0"}),
        seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(3)}),
    ],
    ids=["ended", "waits", "made for something else"],
)
def test_a_name_that_is_taken_does_not_keep_the_spec_from_its_upgrade(theirs: SeenUpgrade) -> None:
    """People number theirs as well."""
    choice = choose(at(2, theirs))

    assert (choice.name, choice.make) == (f"greeter-2-{hash_of(2)}", True)
    assert choice.goal.hash == hash_of(2)


def test_what_has_ended_is_no_way_to_what_is_asked_for_again() -> None:
    """One spec may ask for the same revision again: models that it follows go back and forth."""
    past = [ended(name, "Succeeded", 2, owned=True) for name in ("greeter-2", AGAIN)]

    third = choose(at(2, *past))
    fourth = choose(at(2, *past, ended(f"{AGAIN}-2", "Succeeded", 2, owned=True)))

    assert (third.name, third.make) == (f"{AGAIN}-2", True)
    assert (fourth.name, fourth.make) == (f"{AGAIN}-3", True)


def test_without_pods_a_changed_spec_needs_no_upgrade() -> None:
    """Nobody is served."""
    choice = choose(at(2, operatingMode="Offline"))

    assert (choice.name, choice.goal.hash, choice.make) == (None, hash_of(2), False)


def test_an_agent_whose_upgrade_was_deleted_stays_with_what_serves() -> None:
    """Whoever deletes it does not want it."""
    choice = choose(at(2, target=2, governing="greeter-2"))

    assert (choice.goal.hash, choice.make) == (hash_of(1), False)


def test_what_was_rolled_back_is_not_tried_again() -> None:
    """As long as the spec still asks for it, the upgrade that failed is the reason why."""
    failed = ended("greeter-2", "RolledBack", 2, owned=True, to={"revision": hash_of(2)})

    choice = choose(at(2, failed, target=2, governing="greeter-2"))

    assert (choice.name, choice.make, choice.superseded) == ("greeter-2", False, set())


# Superseding


def test_a_newer_spec_takes_the_place_of_what_runs() -> None:
    """At any step."""
    choice = choose(at(3, running("greeter-2", 2, owned=True), target=2, governing="greeter-2"))

    assert (choice.name, choice.make) == ("greeter-3", True)
    assert choice.superseded == {"greeter-2"}


def test_a_newer_spec_takes_the_place_of_what_a_person_has_begun() -> None:
    """It is the newest word."""
    choice = choose(at(2, running("mine", 3), governing="mine"))

    assert (choice.name, choice.superseded) == ("greeter-2", {"mine"})


def test_a_spec_set_back_ends_in_what_serves() -> None:
    """It needs no upgrade."""
    choice = choose(at(1, running("greeter-2", 2, owned=True), target=2, governing="greeter-2"))

    assert (choice.name, choice.make, choice.goal.hash) == (None, False, hash_of(1))
    assert choice.superseded == {"greeter-2"}


def test_a_spec_that_asks_for_what_an_upgrade_leads_to_leaves_it_alone() -> None:
    """As when a success is written into the spec."""
    choice = choose(at(2, running("mine", 2), governing="mine"))

    assert (choice.name, choice.make, choice.superseded) == ("mine", False, set())


def test_an_upgrade_for_a_spec_that_is_gone_is_superseded_before_it_begins() -> None:
    """It was made for that spec only, and never becomes the next one in turn."""
    late = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})

    on_the_way = choose(at(3, late, target=2, governing="greeter-2"))
    set_back = choose(at(1, late, target=1))

    assert (on_the_way.name, on_the_way.superseded) == ("greeter-3", {"greeter-2"})
    assert (set_back.name, set_back.superseded) == (None, {"greeter-2"})


def test_what_a_person_has_created_waits_instead() -> None:
    """It was not made for a spec."""
    mine = seen_upgrade("mine", to={"revision": hash_of(3)})

    choice = choose(at(2, mine))

    assert (choice.name, choice.superseded) == ("greeter-2", set())
    assert choice.objections == {"mine": None}


class Cluster:
    """An Agent whose spec changes, and what the operator remembers of its upgrades."""

    def __init__(self) -> None:
        self.generation = 1
        self.upgrades: dict[str, SeenUpgrade] = {}
        self.target, self.stable = 1, 1
        self.governing: str | None = None

    def change(self, version: int) -> Choice:
        """Let a person ask for a version, and the operator decide twice."""
        self.generation += 1
        self._turn(version)
        return self._turn(version)

    def succeed(self) -> None:
        """The upgrade that governs comes to its end, if any does."""
        if self.governing is not None and is_running(self.upgrades[self.governing].upgrade):
            self._become(self.governing, phase="Succeeded")
            self.stable = self.target

    def _turn(self, version: int) -> Choice:
        one = asks(version)
        metadata = one.metadata.model_copy(update={"generation": self.generation})
        seen = upgraded(
            one.model_copy(update={"metadata": metadata}),
            *self.upgrades.values(),
            stable=hash_of(self.stable),
            target=hash_of(self.target),
            governing=self.governing,
            revisions=RECORDS,
        )
        choice = choose(seen)
        self.target, self.governing = version, choice.name
        if choice.make and choice.name:
            to = {"revision": choice.asked.hash}
            self.upgrades[choice.name] = seen_upgrade(choice.name, owned=True, to=to)
        elif choice.name and choice.objections.get(choice.name, 0) is None:
            self.upgrades[choice.name] = running(choice.name, version, owned=True)
        for name in choice.superseded:
            self._become(name, phase="Superseded")
        return choice

    def _become(self, name: str, *, phase: str) -> None:
        known = self.upgrades[name]
        status = known.upgrade.status.model_dump(by_alias=True, exclude_none=True)
        self.upgrades[name] = seen_upgrade(
            name, owned=True, status=status | {"phase": phase}, to=known.upgrade.spec.to
        )


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.booleans()), min_size=1, max_size=8))
def test_after_any_changes_back_and_forth_the_last_word_counts(
    life: list[tuple[int, bool]],
) -> None:
    """One upgrade at most runs, and it leads to what is asked; none when that serves already."""
    cluster = Cluster()

    for version, ends in life:
        choice = cluster.change(version)
        going = {name for name, each in cluster.upgrades.items() if is_running(each.upgrade)}

        assert choice.goal.hash == hash_of(version)
        assert going == (set() if version == cluster.stable else {choice.name})
        if ends:
            cluster.succeed()


# Upgrades that people create


def created(name: str, minute: int = 0, **fields: Any) -> SeenUpgrade:
    at = NOON + timedelta(minutes=minute)
    known: dict[str, Any] = {"to": {"revision": hash_of(2)}}
    return seen_upgrade(name, metadata={"creationTimestamp": at}, **known | fields)


def test_an_upgrade_of_a_person_leads_the_agent_elsewhere() -> None:
    """The spec follows when it has succeeded."""
    choice = choose(at(1, created("mine")))

    assert (choice.name, choice.goal.hash, choice.make) == ("mine", hash_of(2), False)


@pytest.mark.parametrize(
    ("upgrades", "first"),
    [
        ([created("a", 1), created("b", 0)], "b"),
        ([created("a", 0, priority=4), created("b", 1, priority=6)], "b"),
        ([created("b", 0), created("a", 0)], "a"),
        ([created("a", 0, paused=True), created("b", 1)], "b"),
        ([created("a", 0, owned=True), created("b", 1)], "b"),
    ],
    ids=["the older", "the higher priority", "by name at last", "those that may", "not a spec's"],
)
def test_of_several_upgrades_one_goes_first(upgrades: list[SeenUpgrade], first: str) -> None:
    """Priority, then age."""
    assert choose(at(1, *upgrades)).name == first


def test_what_runs_is_not_interrupted_by_a_higher_priority() -> None:
    """That would be a third version among two."""
    choice = choose(at(1, running("first", 2), created("second", priority=10), governing="first"))

    assert (choice.name, choice.superseded) == ("first", set())
    assert choice.objections == {"second": None}


@pytest.mark.parametrize("phase", ["Succeeded", "RolledBack", "Superseded"])
def test_after_an_end_it_is_the_turn_of_the_next_one(phase: str) -> None:
    """Whatever the end was."""
    choice = choose(at(1, ended("first", phase, 1), created("second"), governing="first"))

    assert choice.name == "second"


def test_without_pods_nothing_begins() -> None:
    """It waits until there are some."""
    choice = choose(at(1, created("mine"), operatingMode="Suspended"))

    assert choice.name is None


def test_who_was_chosen_and_has_not_begun_keeps_its_turn() -> None:
    """Else two could take it from each other for ever."""
    choice = choose(at(1, created("first"), created("second", priority=9), governing="first"))

    assert choice.name == "first"


def test_another_attempt_goes_on_to_what_the_upgrade_asks_for() -> None:
    """A person has raised the number; what the first one led to does not count any more."""
    again = ended("mine", "RolledBack", 2, attempt=2, to={"revision": hash_of(3)})

    choice = choose(at(1, again, governing="mine"))

    assert is_asked_again(again.upgrade)
    assert (choice.name, choice.goal.hash) == ("mine", hash_of(3))
    assert choice.objections == {"mine": None}


def test_another_attempt_of_what_was_rolled_back_waits_for_its_turn() -> None:
    """It is asked for like one that is new."""
    again = ended("greeter-2", "RolledBack", 2, owned=True, attempt=2)

    choice = choose(at(1, again, running("mine", 3), governing="mine"))

    assert (choice.name, choice.objections) == ("mine", {"greeter-2": None})
    assert choice.superseded == set()


@pytest.mark.parametrize("phase", [phase for phase in UpgradePhase if phase != "RolledBack"])
def test_only_what_was_rolled_back_is_tried_again(phase: UpgradePhase) -> None:
    """What runs goes on, and what serves is not replaced by itself."""
    again = ended("greeter-2", phase, 2, owned=True, attempt=2).upgrade

    assert not is_asked_again(again)
    assert is_asked_in_vain(again) is (phase is not UpgradePhase.PENDING)


@pytest.mark.parametrize("phase", ["Succeeded", "Superseded"])
def test_what_has_ended_otherwise_is_not_chosen_for_another_attempt(phase: str) -> None:
    """Whatever somebody writes into it."""
    choice = choose(at(1, ended("mine", phase, 2, attempt=2)))

    assert (choice.name, choice.objections) == (None, {})


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"to": None}, 1),
        ({}, 2),
        ({"to": {"version": "2.0.0"}}, 2),
    ],
    ids=["what the spec asks for", "a revision", "a version"],
)
def test_where_an_upgrade_leads(fields: dict[str, Any], version: int) -> None:
    """To a revision by its name, or to the spec with some fields changed."""
    one = created("mine", **fields)

    assert choose(at(1, one, governing="mine")).goal.hash == hash_of(version)


def test_a_revision_that_is_not_found_is_not_taken_for_another() -> None:
    """Only its name is known, so nothing is made of it."""
    one = created("mine", to={"revision": "0" * 10})

    goal = choose(at(1, one, governing="mine")).goal

    assert (goal.hash, goal.known) == ("0" * 10, False)


def test_a_running_upgrade_whose_revision_is_gone_is_worked_out_again() -> None:
    """Its record may have been deleted; the upgrade still says what it wants."""
    one = running("mine", 2, to={"version": "2.0.0"})
    seen = at(1, one, governing="mine")

    choice = choose(AgentObservation(agent=seen.agent, upgrades=seen.upgrades))

    assert choice.goal.hash == hash_of(2)


@pytest.mark.parametrize("phase", [None, *UpgradePhase])
def test_running_is_begun_and_not_ended(phase: UpgradePhase | None) -> None:
    """What waits may still be left aside; what has ended is."""
    one = seen_upgrade("mine", status={"phase": phase} if phase else {})

    assert is_running(one.upgrade) is (phase in RUNNING)


RUNNING = {
    UpgradePhase.PROGRESSING,
    UpgradePhase.PAUSED,
    UpgradePhase.PROMOTING,
    UpgradePhase.ROLLING_BACK,
}
