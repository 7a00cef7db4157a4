"""The store knows the newest of everything, and wakes whom it concerns and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin import raw_agent

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, POD, REPLICA_SET, SERVICE, Key, Kind
from agentherd.engine import tombstones
from agentherd.engine.store import SUBJECT_KINDS, Store

GREETER = Key("default", "greeter")


class Woken(list[Key]):
    """Who was woken since it was last looked at."""

    def since(self) -> list[Key]:
        found = list(self)
        self.clear()
        return found


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def store(woken: Woken) -> Store:
    return Store(AGENT, wake=woken.append)


def known(version: int, name: str = "greeter", **options: Any) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version)} | options.pop("metadata", {})
    return raw_agent(name, metadata=metadata, **options)


def child(version: int, name: str = "greeter", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "labels": {"agentherd.dev/agent": "greeter"},
        }
        | metadata
    }


def writer(manager: str, **fields: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Apply", "time": "2026-11-21T12:00:00Z"} | fields


# Agents


def test_an_agent_that_is_seen_is_woken(store: Store, woken: Woken) -> None:
    """That is how everything begins."""
    store.put_subject(AGENT, known(1))

    assert woken == [GREETER]
    assert store.count(AGENT) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_not_newer_is_old_news(store: Store, woken: Woken, version: int) -> None:
    """Events and answers cross; versions say which is newer."""
    store.put_subject(AGENT, known(2, image="new"))
    woken.clear()

    store.put_subject(AGENT, known(version, image="old"))

    assert woken == []
    assert store.subjects(AGENT)[GREETER].version == 2


def test_our_own_status_wakes_nobody(store: Store, woken: Woken) -> None:
    """It follows from what is known already."""
    store.put_subject(AGENT, known(1))
    woken.clear()

    store.put_subject(AGENT, known(2, status={"phase": "Online"}), own=True)

    assert woken == []
    assert store.subjects(AGENT)[GREETER].subject.status.phase == "Online"


@pytest.mark.parametrize(
    "metadata",
    [{"generation": 2}, {"annotations": {"a": "b"}}, {"uid": "another"}],
    ids=lambda m: next(iter(m)),
)
def test_the_answer_to_our_write_may_hold_what_people_changed_meanwhile(
    store: Store, woken: Woken, metadata: dict[str, Any]
) -> None:
    """The watch will tell nothing newer of it."""
    store.put_subject(AGENT, known(1))
    woken.clear()

    store.put_subject(AGENT, known(2, metadata=metadata), own=True)

    assert woken == [GREETER]


def test_a_deletion_wakes_and_leaves_no_ghost(store: Store, woken: Woken) -> None:
    """The late answer to a write before it does not raise the dead."""
    store.put_subject(AGENT, known(1))
    woken.clear()

    store.drop_subject(AGENT, GREETER, 5)
    store.put_subject(AGENT, known(4), own=True)

    assert woken == [GREETER]
    assert store.subjects(AGENT) == {}


def test_a_deletion_before_what_is_known_is_of_an_earlier_agent(store: Store) -> None:
    """It was made anew already."""
    store.put_subject(AGENT, known(6))

    store.drop_subject(AGENT, GREETER, 5)

    assert GREETER in store.subjects(AGENT)


def test_a_deletion_of_nothing_is_nothing(store: Store, woken: Woken) -> None:
    """It can be told before the creation, when watches are slow."""
    store.drop_subject(AGENT, GREETER, 5)

    assert woken == []


def test_those_that_depend_on_an_agent_are_woken_with_it(store: Store, woken: Woken) -> None:
    """Also by our own write of its status, which is how they learn that it is available."""
    store.put_subject(AGENT, known(1, "model"))
    store.put_subject(AGENT, known(2, dependsOn=["model"]))
    woken.clear()

    store.put_subject(AGENT, known(3, "model"), own=True)
    by_write = woken.since()
    store.drop_subject(AGENT, Key("default", "model"), 9)

    assert by_write == [GREETER]
    assert woken == [Key("default", "model"), GREETER]


def test_who_does_not_depend_any_more_is_not_woken(store: Store, woken: Woken) -> None:
    """Dependencies are those of the latest spec."""
    store.put_subject(AGENT, known(1, dependsOn=["model"]))
    store.put_subject(AGENT, known(2))
    woken.clear()

    store.put_subject(AGENT, known(3, "model"))

    assert woken == [Key("default", "model")]


def test_a_list_finds_the_deletions_that_nobody_told(store: Store) -> None:
    """What is newer than the list, or in another namespace, stays."""
    store.put_subject(AGENT, known(1, "gone"))
    store.put_subject(AGENT, known(2, "kept"))
    store.put_subject(AGENT, known(3, "anew"))
    store.put_subject(AGENT, known(9, "newer"))
    store.put_subject(AGENT, known(4, "elsewhere", metadata={"namespace": "other"}))

    alive = {Key("default", "kept"): "uid-of-kept", Key("default", "anew"): "another uid"}
    store.retain_subjects(AGENT, alive, 5, "default")

    assert {key.name for key in store.subjects(AGENT)} == {"kept", "newer", "elsewhere"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"operatingMode": "Hibernating"}, "spec.operatingMode"),
        ({"replicas": -1}, "spec.replicas"),
        ({"hibernation": {"after": "1h"}}, "spec.hibernation: this version has no such field"),
        ({"drain": {"gently": True}}, "spec.drain.gently: this version has no such field"),
    ],
)
def test_an_agent_of_a_newer_version_is_kept_but_not_understood(
    store: Store, change: dict[str, Any], said: str
) -> None:
    """It costs only itself, and its status stays readable."""
    store.put_subject(AGENT, known(1, status={"phase": "Online"}, **change))

    record = store.subjects(AGENT)[GREETER]
    assert record.unreadable.startswith(said)
    assert record.subject.status.phase == "Online"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["targetRef", "template", "versions", "activeVersion", "dependsOn", "traffic", "phase"]
)
NAMED = st.fixed_dictionaries({"name": JSON}, optional={"kind": JSON})
SPEC = st.dictionaries(FIELDS, JSON | NAMED | st.lists(NAMED, max_size=2), max_size=3)


@given(st.sampled_from(SUBJECT_KINDS), SPEC | JSON, SPEC | JSON)
def test_no_object_that_can_be_read_is_a_bug(kind: Kind, spec: object, status: object) -> None:
    """Whatever is in it, it is known, so that the loop of kopf goes on and the term begins."""
    known_to = Store(AGENT if kind is AGENT_UPGRADE else kind, wake=lambda _: None)
    metadata = {"name": "x", "namespace": "default", "uid": "u", "resourceVersion": "1"}

    known_to.put_subject(kind, {"metadata": metadata, "spec": spec, "status": status})

    assert known_to.holds(kind, Key("default", "x"))


def test_a_status_that_is_not_understood_is_left_out(store: Store) -> None:
    """The identity stays, so that it can be told."""
    store.put_subject(AGENT, known(1, status={"phase": "Dreaming"}))

    record = store.subjects(AGENT)[GREETER]
    assert record.unreadable.startswith("status.phase")
    assert record.subject.metadata.name == "greeter"
    assert record.subject.status.phase is None


def test_a_status_of_a_newer_version_is_told_of_before_anything_else(store: Store) -> None:
    """To write it again without what is not known would be to forget it."""
    store.put_subject(AGENT, known(1, status={"dreams": 3}, hibernation={}))

    record = store.subjects(AGENT)[GREETER]
    assert record.unreadable == "status.dreams: this version has no such field"


def test_what_kubernetes_adds_to_metadata_is_nobodys_version(store: Store) -> None:
    """Only the spec and the status are ours."""
    owner = {"uid": "u", "controller": True, "kind": "Fleet", "fromTheFuture": 1}
    metadata = {"labels": {"a": "b"}, "selfLink": "/", "ownerReferences": [owner]}
    store.put_subject(AGENT, known(1, metadata=metadata))

    record = store.subjects(AGENT)[GREETER]
    assert record.unreadable == ""
    assert record.subject.metadata.controller == "u"


# Children


def test_a_child_wakes_its_agent(store: Store, woken: Woken) -> None:
    """By the label, for the owner may have been taken away."""
    store.put(SERVICE, child(1))

    assert woken == [GREETER]
    assert list(store.children(GREETER, SERVICE)) == ["greeter"]


def test_a_child_that_is_the_same_wakes_nobody(store: Store, woken: Woken) -> None:
    """Much of what changes on an object is not asked for."""
    store.put(SERVICE, child(1))
    woken.clear()

    store.put(SERVICE, child(2, annotations={"somebody": "else"}))

    assert woken == []


def test_our_own_write_of_a_child_wakes_nobody_nor_does_its_echo(
    store: Store, woken: Woken
) -> None:
    """A settled fleet is quiet."""
    store.put(SERVICE, child(1), own=True)
    store.put(SERVICE, child(1))

    assert woken == []


def test_the_answer_to_our_write_may_hold_what_the_cluster_did_meanwhile(
    store: Store, woken: Woken
) -> None:
    """Counts that came with it are told by nobody else."""
    store.put(REPLICA_SET, child(1, name="greeter-1") | {"spec": {}})
    woken.clear()
    status = {"status": {"availableReplicas": 2}}

    store.put(REPLICA_SET, child(2, name="greeter-1") | {"spec": {}} | status, own=True)

    assert woken == [GREETER]


def test_what_we_have_just_applied_is_not_touched(store: Store) -> None:
    """Also when it changed nothing, so that the stamps and the version are the old ones."""
    touched = child(1, managedFields=[writer("kubectl")])
    store.put(SERVICE, touched)

    store.put(SERVICE, touched, own=True)

    assert not store.children(GREETER, SERVICE)["greeter"].touched


def test_a_field_that_somebody_removed_counts_as_touched(store: Store, woken: Woken) -> None:
    """Who only removes leaves no entry; we own less than before."""
    mine = writer("agentherd", fieldsV1={"f:spec": {"f:ports": {}}})
    less = writer("agentherd", fieldsV1={"f:spec": {}})
    store.put(SERVICE, child(1, managedFields=[mine]), own=True)

    store.put(SERVICE, child(2, managedFields=[less]))
    still = child(3, managedFields=[less])
    store.put(SERVICE, still)

    assert store.children(GREETER, SERVICE)["greeter"].touched
    assert woken == [GREETER]


def test_a_child_made_anew_is_not_compared_with_the_earlier_one(store: Store) -> None:
    """Its fields are its own."""
    store.put(SERVICE, child(1, managedFields=[writer("agentherd", fieldsV1={"f:a": {}})]))

    anew = child(2, uid="another", managedFields=[writer("agentherd", fieldsV1={})])
    store.put(SERVICE, anew)

    assert not store.children(GREETER, SERVICE)["greeter"].touched


def test_a_child_that_goes_wakes_its_agent(store: Store, woken: Woken) -> None:
    """And is forgotten, with the version of its end."""
    store.put(SERVICE, child(1))
    woken.clear()

    store.drop(SERVICE, GREETER, 5)
    store.put(SERVICE, child(4), own=True)

    assert woken == [GREETER]
    assert store.children(GREETER, SERVICE) == {}
    assert store.count(SERVICE) == 0


@pytest.mark.parametrize("have", [0, 6])
def test_the_end_of_an_earlier_child_is_old_news(store: Store, woken: Woken, have: int) -> None:
    """Of one that is unknown, and of one that was made anew."""
    if have:
        store.put(SERVICE, child(have))
    woken.clear()

    store.drop(SERVICE, GREETER, 5)

    assert woken == []
    assert store.count(SERVICE) == (1 if have else 0)


def test_a_child_that_changes_hands_wakes_both(store: Store, woken: Woken) -> None:
    """Somebody changed its label."""
    store.put(SERVICE, child(1))
    woken.clear()

    store.put(SERVICE, child(2, labels={"agentherd.dev/agent": "other"}))

    assert set(woken) == {GREETER, Key("default", "other")}
    assert store.children(GREETER, SERVICE) == {}


def test_a_list_of_children_finds_deletions_and_news(store: Store, woken: Woken) -> None:
    """What the list does not hold is gone, except where it did not look."""
    store.put(POD, child(1, "gone"))
    store.put(POD, child(2, "elsewhere", namespace="other"))
    woken.clear()

    store.replace(POD, [child(3, "new")], 4, "default")

    assert list(store.children(GREETER, POD)) == ["new"]
    assert store.count(POD) == 2
    assert woken == [GREETER, GREETER]


def test_a_child_can_wake_its_agent_without_a_change(store: Store, woken: Woken) -> None:
    """What is wrong with a pod may stand elsewhere."""
    store.put(POD, child(1, "p"))
    woken.clear()

    store.wake_owner(POD, Key("default", "p"))
    store.wake_owner(POD, Key("default", "unknown"))

    assert woken == [GREETER]


def test_the_memory_of_deletions_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late answers come soon or never."""
    monkeypatch.setattr(tombstones, "REMEMBERED", 1)
    store.drop_subject(AGENT, GREETER, 5)

    store.drop_subject(AGENT, Key("default", "other"), 6)
    store.put_subject(AGENT, known(1))

    assert GREETER in store.subjects(AGENT)
