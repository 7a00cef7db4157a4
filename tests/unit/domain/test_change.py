"""Who decides what is wanted of an Agent: its spec, or one upgrade at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.twin.samples import NOON, agent
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.api import Agent, Change, UpgradePhase
from agentherd.domain.kinds import Key
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.routing.gateways import MIRROR, SeenGateways
from agentherd.domain.upgrades.change import (
    Choice,
    Objection,
    changed_spec,
    choose,
    difference,
    is_asked_again,
    is_asked_in_vain,
    is_running,
    merged,
    objection,
    precedence_of,
    promoted,
    revision_named,
)


def asks(version: int, **spec: Any) -> Agent:
    """`greeter` at its spec of that number, which asks for that version."""
    metadata = {"generation": version}
    return agent(version=f"{version}.0.0", replicas=2, metadata=metadata, **spec)


def hash_of(version: int) -> str:
    return revision_of(asks(version).spec).hash


def running(name: str, leads_to: int, **fields: Any) -> SeenUpgrade:
    """An upgrade at its first step."""
    status = {
        "phase": "Progressing",
        "fromRevision": hash_of(1),
        "toRevision": hash_of(leads_to),
        "steps": 1,
        "step": 1,
    }
    return seen_upgrade(name, status=status, **{"to": {"revision": hash_of(leads_to)}} | fields)


def ended(name: str, phase: str, led_to: int, **fields: Any) -> SeenUpgrade:
    status = {"phase": phase, "toRevision": hash_of(led_to), "attempt": 1, "finishedAt": NOON}
    return seen_upgrade(name, status=status, **fields)


AGAIN = f"greeter-2-{hash_of(2)}"
RECORDS = {f"greeter-{hash_of(n)}": kept(asks(n), n) for n in (1, 2, 3)}


def at(
    version: int,
    *upgrades: SeenUpgrade,
    stable: int | None = 1,
    target: int = 1,
    governing: str | None = None,
    **spec: Any,
) -> AgentObservation:
    """An Agent whose spec asks for `version`; the operator has last acted on `target`."""
    return upgraded(
        asks(version, **spec),
        *upgrades,
        stable=hash_of(stable) if stable else None,
        target=hash_of(target),
        governing=governing,
        revisions=RECORDS,
    )


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


# Objections


def reason_of(found: Objection | None) -> Reason | None:
    return found.reason if found else None


def objected(**fields: Any) -> Objection | None:
    one = seen_upgrade("mine", **fields)
    seen = at(2, one)
    return objection(seen, one, revision_of(seen.agent.spec))


BAD_TEMPLATE = {"spec": {"containers": None}}


@pytest.mark.parametrize(
    ("fields", "reason", "waits"),
    [
        ({}, None, None),
        ({"to": {"revision": hash_of(1)}}, None, None),
        ({"to": {"revision": hash_of(2)}}, None, None),
        ({"seen": {"unreadable": "spec.x: no"}}, Reason.NOT_UNDERSTOOD, False),
        ({"to": {"revision": "0" * 10}}, Reason.REVISION_NOT_FOUND, False),
        ({"to": {"template": BAD_TEMPLATE}}, Reason.INVALID_TEMPLATE, False),
        ({"to": {"version": "1.9.0"}}, Reason.DOWNGRADE, False),
        ({"to": {"version": "1.9.0"}, "allowDowngrade": True}, None, None),
        ({"rollback": {"requested": True}}, Reason.ROLLBACK_REQUESTED, False),
        ({"rollback": {"requested": False}}, None, None),
        ({"seen": {"needs": {"a": "Succeeded"}}}, None, None),
        ({"seen": {"needs": {"a": "Promoting"}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": None}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": "RolledBack"}}}, Reason.WAITING_FOR_DEPENDENCIES, True),
        ({"seen": {"needs": {"a": None}, "circle": ("mine", "a")}}, Reason.DEPENDENCY_CYCLE, False),
        ({"paused": True}, Reason.PAUSED, True),
    ],
)
def test_why_an_upgrade_cannot_begin(
    fields: dict[str, Any], reason: Reason | None, waits: bool | None
) -> None:
    """And whether that may pass by itself."""
    found = objected(**fields)

    assert reason_of(found) is reason
    assert found is None or found.waits is waits


def test_all_that_is_waited_for_is_named() -> None:
    """In an order that does not change from look to look."""
    found = objected(seen={"needs": {"b": None, "a": "Pending", "c": "Succeeded"}})

    assert found is not None
    assert found.message == "waits until a, b has succeeded"


def test_a_circle_is_told_by_the_names_of_all_in_it() -> None:
    """Any of them may be the one to change."""
    found = objected(seen={"needs": {"a": "Pending"}, "circle": ("mine", "a", "b")})

    assert found is not None
    assert found.message.startswith("mine → a → b → mine: ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": {"revision": "0" * 10}, "seen": {"unreadable": "x"}}, Reason.NOT_UNDERSTOOD),
        ({"to": {"version": "1.0.0", "template": BAD_TEMPLATE}}, Reason.INVALID_TEMPLATE),
        ({"to": {"version": "1.0.0"}, "rollback": {"requested": True}}, Reason.DOWNGRADE),
        ({"to": {"version": "1.0.0"}, "paused": True}, Reason.DOWNGRADE),
        (
            {"rollback": {"requested": True}, "seen": {"needs": {"a": None}}},
            Reason.ROLLBACK_REQUESTED,
        ),
        ({"paused": True, "seen": {"needs": {"a": None}}}, Reason.WAITING_FOR_DEPENDENCIES),
    ],
)
def test_what_does_not_pass_by_itself_is_told_first(fields: dict[str, Any], reason: Reason) -> None:
    """Nobody should wait for something in vain."""
    assert reason_of(objected(**fields)) is reason


def test_an_agent_without_a_version_cannot_be_downgraded() -> None:
    """There is nothing to compare with."""
    one = seen_upgrade("mine", to={"version": "0.1.0"})
    seen = upgraded(agent(), one, stable=hash_of(1))

    assert objection(seen, one, revision_of(seen.agent.spec)) is None


def test_a_revision_of_an_earlier_agent_does_not_count() -> None:
    """It has the name and not the uid."""
    others = {"greeter-x": replace(kept(asks(1)), owner="somebody")}

    found = AgentObservation(agent=asks(2), revisions=others)

    assert revision_named(found, hash_of(1), revision_of(asks(2).spec)) is None


# Versions


ORDER = [
    "0.9.0",
    "1.0.0-1",
    "1.0.0-2",
    "1.0.0-11",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1-0",
    "1.2.0",
    "1.10.0",
    "2.0.0",
]


@given(st.sampled_from(ORDER), st.sampled_from(ORDER))
def test_versions_are_ordered_as_semver_says(one: str, other: str) -> None:
    """Numbers as numbers, and a release after all that led to it."""
    expected = ORDER.index(one) < ORDER.index(other)

    assert (precedence_of(one) < precedence_of(other)) is expected


@given(st.sampled_from(ORDER), st.sampled_from(["+a", "+1.b-c", ""]))
def test_the_build_of_a_version_does_not_count(version: str, build: str) -> None:
    """It tells how it was made and not what it is."""
    assert precedence_of(version + build) == precedence_of(version)


# The content of a change


def test_a_change_names_only_what_is_to_be_different() -> None:
    """The rest is the spec's."""
    spec = asks(1, config={"a": "1"}, drain={"timeoutSeconds": 5}).spec
    change = Change.model_validate(
        {"version": "2.0.0", "image": "agent:2", "config": {"b": "2"}, "template": ANNOTATED}
    )

    after = changed_spec(spec, change)

    assert (after.version, after.config, after.drain) == ("2.0.0", {"b": "2"}, spec.drain)
    assert after.template["spec"]["containers"][0]["image"] == "agent:2"
    assert after.template["metadata"] == ANNOTATED["metadata"]


ANNOTATED: dict[str, Any] = {"metadata": {"annotations": {"why": "because"}}}


def test_an_image_is_that_of_the_first_container() -> None:
    """Others are helpers of it."""
    containers = [{"name": "agent", "image": "agent:1"}, {"name": "proxy", "image": "proxy:1"}]
    spec = agent(template={"spec": {"containers": containers}}).spec

    after = changed_spec(spec, Change.model_validate({"image": "agent:2"}))

    assert [c["image"] for c in after.template["spec"]["containers"]] == ["agent:2", "proxy:1"]


def test_an_image_for_a_template_that_is_broken_is_left_aside() -> None:
    """The template is told about, and nothing fails."""
    change = Change.model_validate({"image": "agent:2", "template": BAD_TEMPLATE})

    assert "containers" not in changed_spec(agent().spec, change).template["spec"]


MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [1]}, {"a": [2]}, {"a": [2]}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "b"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES)
def test_a_merge_patch_does_what_its_standard_says(target: Any, patch: Any, result: Any) -> None:
    """RFC 7386: objects are merged, all else is replaced, null removes."""
    assert merged(target, patch) == result


scalars = st.integers(2, 4) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(before=objects, after=objects)
def test_a_difference_leads_from_the_one_to_the_other(before: Any, after: Any) -> None:
    """And is empty for what is the same."""
    patch = difference(before, after)

    assert merged(before, patch) == after
    assert (patch == {}) is (before == after)


@given(target=values, patch=values)
def test_a_merge_patch_can_be_applied_again(target: Any, patch: Any) -> None:
    """A second time it changes nothing."""
    once = merged(target, patch)

    assert merged(once, patch) == once


@given(target=objects, patch=objects)
def test_a_merge_leaves_both_sides_as_they_were(target: Any, patch: Any) -> None:
    """The spec of the Agent is read many times."""
    was = (repr(target), repr(patch))

    merged(target, patch)

    assert (repr(target), repr(patch)) == was


# A success is written into the spec


specs = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["agent:1", "agent:2"]),
        "configUpdate": st.sampled_from(["Rollout", "InPlace"]),
    },
    optional={
        "version": st.sampled_from(["1.0.0", "2.0.0"]),
        "config": st.sampled_from([{"a": "1"}, {"a": "2", "b": ""}]),
        "health": st.sampled_from([{"http": {"port": 8080}}, {"http": {"port": "http"}}]),
        "drain": st.sampled_from([{"timeoutSeconds": 5}, {"delaySeconds": 1}]),
    },
)


@given(before=specs, after=specs)
def test_the_promoted_spec_asks_for_the_revision_that_serves(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Else a success would look like a change, and be undone."""
    revision = revision_of(agent(**after).spec)
    # The config that is shared is not kept in the revision, so it cannot be brought back.
    assume(not (revision.in_place and revision.mounts_config and "config" not in before))
    one = agent(**before)

    patch = promoted(one.spec, revision)

    spec = merged(one.spec.model_dump(mode="json", by_alias=True, exclude_none=True), patch)
    assert revision_of(Agent.model_validate(raw_with(spec)).spec).hash == revision.hash
    assert (patch == {}) is (revision_of(one.spec).hash == revision.hash)


def raw_with(spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "greeter", "namespace": "default", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata | {"generation": 1}, "spec": spec}


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


# What Gateways can do

MIRRORED: dict[str, Any] = {
    "traffic": {"parentRefs": [{"name": "gate"}]},
    "upgradePolicy": {"canary": {"steps": [{"weight": 0, "mirror": 100}]}},
}


def gateways(*features: str) -> SeenGateways:
    classes = {Key("default", "gate"): "fast"}
    return SeenGateways(classes=classes, features={"fast": frozenset(features)}, known=True)


def objection_of(seen: AgentObservation) -> Objection | None:
    return choose(seen).objections["greeter-2"]


def test_what_no_gateway_can_do_does_not_begin() -> None:
    """Nothing changes before it can be made as it is written; then it begins by itself."""
    made = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})
    seen = at(2, made, target=2, governing="greeter-2", **MIRRORED)

    unknown = objection_of(seen)
    cannot = objection_of(replace(seen, gateways=gateways()))
    can = objection_of(replace(seen, gateways=gateways(MIRROR)))

    assert unknown is not None
    assert unknown.waits
    assert reason_of(cannot) is Reason.NOT_SUPPORTED
    assert can is None


def test_the_way_back_asks_nothing_of_a_gateway() -> None:
    """A revision that has proved itself is gone back to without steps."""
    made = seen_upgrade("greeter-2", owned=True, to={"revision": hash_of(2)})
    seen = replace(at(2, made, target=2, governing="greeter-2", **MIRRORED), gateways=gateways())
    status = seen.agent.status.model_copy(update={"former_revisions": (hash_of(2),)})

    assert (
        objection_of(replace(seen, agent=seen.agent.model_copy(update={"status": status}))) is None
    )


# Ports


def with_port(number: int) -> dict[str, Any]:
    container = {"name": "agent", "image": "agent:1", "ports": [{"containerPort": number}]}
    return {"template": {"spec": {"containers": [container]}}}


@pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        (None, Reason.PORT_NOT_FOUND),
        ({"parentRefs": [{"name": "gate"}]}, None),
        ({"parentRefs": [{"name": "gate"}], "port": 9090}, Reason.PORT_NOT_FOUND),
        ({"routeRef": {"name": "shop"}}, None),
    ],
    ids=["one Service", "the first port", "only in the new version", "a route that is not there"],
)
def test_a_change_that_would_interrupt_requests_does_not_begin(
    traffic: dict[str, Any] | None, reason: Reason | None
) -> None:
    """The container listens at another port than that of the version that serves."""
    made = seen_upgrade("greeter-2", to={"template": with_port(9090)["template"]})
    spec = {"traffic": traffic} if traffic else {}
    found = objection_of(at(1, made, **spec))

    assert (found.reason if found else None) is reason
    assert found is None or not found.waits


def test_pods_that_are_replaced_one_by_one_share_a_service_behind_a_route_too() -> None:
    """So the port has to mean the same in both."""
    to = {"template": with_port(9090)["template"]}
    made = seen_upgrade("greeter-2", to=to, strategy={"type": "RollingUpdate"})

    found = objection_of(at(1, made, traffic={"parentRefs": [{"name": "gate"}]}))

    assert reason_of(found) is Reason.PORT_NOT_FOUND


def test_ports_of_a_route_that_has_not_been_read_are_waited_for() -> None:
    """It begins by itself."""
    made = seen_upgrade("greeter-2", to={"version": "9.0.0"})

    found = objection_of(replace(at(1, made, traffic=SHARED_ROUTE), routes_known=False))

    assert found is not None
    assert found.waits


SHARED_ROUTE = {"routeRef": {"name": "shop"}}
