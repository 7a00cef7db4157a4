"""The status carries on what was before, in bounds, and knows which of its news are urgent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.twin.samples import NOON, agent, set_view
from tests.unit.domain.samples import phase_facts as facts

from agentherd.api import AgentStatus, Condition, ConfigRecord, Phase, Transition
from agentherd.domain.observation import AgentObservation
from agentherd.domain.phase import Facts, Verdict
from agentherd.domain.plan import WriteStatus, digest
from agentherd.domain.reasons import Reason
from agentherd.domain.status import next_status, write_status

STARTING = Verdict(Phase.DEPLOYING, Reason.STARTING, "starting")
ONLINE = Verdict(Phase.ONLINE, Reason.ALL_AVAILABLE, "up", done=True)
CRASH = Verdict(Phase.ERROR, Reason.CRASHING, "it crashed")
LATER = NOON + timedelta(minutes=1)


def after(
    verdict: Verdict = STARTING,
    *,
    before: AgentStatus | None = None,
    seen: dict[str, Any] | None = None,
    known: Facts | None = None,
    says: dict[str, Any] | None = None,
    **spec: Any,
) -> AgentStatus:
    """The status after `before`; `says` is what was decided besides the verdict."""
    before = before or AgentStatus()
    one = agent(**spec).model_copy(update={"status": before})
    observation = AgentObservation(
        **{"agent": one, "writer": "kubectl", "author": "kubectl"} | (seen or {})
    )
    decided = {"asked": "new", "stable": before.stable_revision, "upgrade": None, "undone": False}
    return next_status(observation, known or facts(), verdict, **decided | (says or {}))


def written(before: AgentStatus, status: AgentStatus) -> WriteStatus | None:
    one = agent().model_copy(update={"status": before})
    return write_status(AgentObservation(agent=one), status)


def test_counts_are_those_of_all_revisions() -> None:
    """Only `updatedReplicas` is about the target."""
    sets = {v.name: v for v in (set_view("new", wanted=3), set_view("old", ready=1, available=1))}

    status = after(seen={"replica_sets": sets}, known=facts(serving=4))

    assert (status.replicas, status.updated_replicas) == (5, 3)
    assert (status.ready_replicas, status.available_replicas) == (4, 4)


def test_what_belongs_to_an_earlier_agent_of_the_name_does_not_count() -> None:
    """It is garbage that has not been collected yet."""
    sets = {"x": set_view("new", owner="uid-of-somebody-else")}

    assert after(seen={"replica_sets": sets}).replicas == 0


def test_the_selector_is_for_autoscalers() -> None:
    """Text, as the scale subresource wants it."""
    assert after().selector == "agentherd.dev/agent=greeter"


@pytest.mark.parametrize("stable", [None, "old", "new"])
def test_the_stable_revision_is_the_one_that_was_decided(stable: str | None) -> None:
    """A status tells; it does not decide."""
    known = facts(wanted=0, complete=True)

    status = after(known=known, before=AgentStatus(stable_revision="old"), says={"stable": stable})

    assert status.stable_revision == stable


def test_what_was_replaced_without_pods_is_not_remembered() -> None:
    """It may never have had any, so it has not proved itself."""
    before = AgentStatus(stable_revision="old", former_revisions=("a", "new"))

    status = after(known=facts(wanted=0), before=before, says={"stable": "new"})

    assert status.former_revisions == ("a",)


@pytest.mark.parametrize(
    ("former", "stable", "undone", "expected"),
    [
        (("a",), "new", False, ("old", "a")),
        (("a",), "new", True, ("a",)),
        (("a", "b"), "b", False, ("old", "a")),
        (("a",), "old", False, ("a",)),
        (tuple(map(str, range(20))), "new", False, ("old", *map(str, range(19)))),
    ],
    ids=["replaced", "given up", "gone back to", "unchanged", "many"],
)
def test_what_was_stable_is_remembered_latest_first(
    former: tuple[str, ...], stable: str, undone: bool, expected: tuple[str, ...]
) -> None:
    """What has been given up is no good to go back to."""
    before = AgentStatus(stable_revision="old", former_revisions=former)

    status = after(before=before, says={"stable": stable, "undone": undone})

    assert status.former_revisions == expected


def test_a_rollback_is_an_error_that_is_counted_once() -> None:
    """The Agent stays Online on its old version, and says why it is behind its spec."""
    held = Verdict(Phase.ONLINE, Reason.ROLLED_BACK, "upgrade greeter-2 was rolled back")

    once = after(held, before=AgentStatus(phase=Phase.ONLINE))
    twice = after(held, before=once, known=facts(now=LATER))

    assert once.error_count == twice.error_count == 1
    assert twice.last_error is not None
    assert (twice.last_error.reason, twice.last_error.at) == ("RolledBack", NOON)


def test_the_first_phase_has_no_from() -> None:
    """And it is the person who wrote the Agent that is named for it."""
    (entry,) = after(known=facts(observed=False, phase=None)).history

    assert (entry.from_, entry.to, entry.triggered_by) == (None, Phase.DEPLOYING, "kubectl")


def test_a_phase_that_stays_adds_no_history_and_keeps_its_time() -> None:
    """History is of changes."""
    before = AgentStatus(phase=Phase.DEPLOYING, phase_since=NOON)

    status = after(before=before, known=facts(now=LATER))

    assert status.history == ()
    assert status.phase_since == NOON


def test_what_pods_do_by_themselves_is_not_put_down_to_anybody() -> None:
    """Nobody changed the spec between Deploying and Online."""
    status = after(ONLINE, before=AgentStatus(phase=Phase.DEPLOYING))

    assert status.history[-1].triggered_by == "agentherd"


def test_a_mode_is_put_down_to_whoever_set_it() -> None:
    """Also when its pods took a while to go, and the spec was observed long before."""
    verdict = Verdict(Phase.OFFLINE, Reason.OFFLINE, "x", done=True)

    status = after(verdict, before=AgentStatus(phase=Phase.ONLINE))

    assert status.history[-1].triggered_by == "kubectl"


def test_who_only_scales_is_named_for_what_comes_of_it_and_for_no_mode() -> None:
    """An autoscaler at work must not be told to have suspended anything."""
    seen, known = {"writer": "autoscaler", "author": "kubectl"}, facts(observed=False)
    offline = Verdict(Phase.OFFLINE, Reason.OFFLINE, "x", done=True)

    scaled = after(seen=seen, known=known)
    stopped = after(offline, before=AgentStatus(phase=Phase.ONLINE), seen=seen, known=known)

    assert scaled.history[-1].triggered_by == "autoscaler"
    assert stopped.history[-1].triggered_by == "kubectl"


def test_an_unknown_writer_is_not_left_empty() -> None:
    """managedFields can be missing."""
    status = after(seen={"writer": ""}, known=facts(observed=False))

    assert status.history[-1].triggered_by == "agentherd"


@pytest.mark.parametrize(
    ("verdict", "spec", "reason"),
    [
        (
            Verdict(Phase.OFFLINE, Reason.OFFLINE, "x"),
            {"operatingModeReason": "retired"},
            "retired",
        ),
        (Verdict(Phase.OFFLINE, Reason.OFFLINE, "x"), {}, "Offline"),
        (Verdict(Phase.MAINTENANCE, Reason.MAINTENANCE, "x"), {}, "Scheduled maintenance"),
        (ONLINE, {"operatingModeReason": "back"}, "AllAvailable"),
    ],
    ids=["own words", "none given", "maintenance", "not a mode"],
)
def test_history_repeats_the_persons_own_words(
    verdict: Verdict, spec: dict[str, str], reason: str
) -> None:
    """Where there are some; else the reason as it stands everywhere."""
    assert after(verdict, **spec).history[-1].reason == reason


def test_history_is_bounded_by_the_spec() -> None:
    """The latest stay, also when the limit is made smaller."""
    entry = Transition(to=Phase.ONLINE, reason="x", triggered_by="x", at=NOON)
    before = AgentStatus(phase=Phase.ONLINE, history=(entry,) * 5)

    grown = after(CRASH, before=before, historyLimit=3).history
    same = after(ONLINE, before=before, historyLimit=2).history

    assert [e.to for e in grown] == [Phase.ONLINE, Phase.ONLINE, Phase.ERROR]
    assert len(same) == 2


def test_entering_an_error_counts_it_and_keeps_what_it_was() -> None:
    """Leaving it forgets nothing."""
    failed = after(CRASH, before=AgentStatus(phase=Phase.ONLINE, error_count=1))
    recovered = after(ONLINE, before=failed)

    assert failed.error_count == recovered.error_count == 2
    assert recovered.last_error is not None
    assert (recovered.last_error.reason, recovered.last_error.message) == ("Crashing", "it crashed")


def test_staying_in_an_error_counts_nothing_and_keeps_its_time() -> None:
    """A new wording is not a new error."""
    failed = after(CRASH)

    again = after(replace(CRASH, message="twice"), before=failed, known=facts(now=LATER))

    assert again.error_count == 1
    assert again.last_error is not None
    assert (again.last_error.at, again.last_error.message) == (NOON, "twice")


def test_another_reason_is_another_error() -> None:
    """It has a time of its own, though the Agent has entered Error only once."""
    failed = after(CRASH)
    other = Verdict(Phase.ERROR, Reason.OUT_OF_MEMORY, "too much")

    again = after(other, before=failed, known=facts(now=LATER))

    assert again.error_count == 1
    assert again.last_error is not None
    assert again.last_error.at == LATER


def test_config_is_counted_from_one() -> None:
    """Whichever way it reaches the pods."""
    status = after(config={"a": "1"})

    assert status.config_version == 1
    assert status.config_hash == digest({"a": "1"})
    assert [(r.version, r.at) for r in status.config_history] == [(1, NOON)]


def test_an_agent_without_config_has_no_version_of_it() -> None:
    """Until it gets one; from then on removing it is a version too."""
    none = after()
    some = after(before=none, config={"a": "1"})
    removed = after(before=some)

    assert none.config_version is None
    assert removed.config_version == 2


def test_the_same_config_stays_the_same_version() -> None:
    """Deciding again counts nothing."""
    once = after(config={"a": "1"})

    assert after(before=once, config={"a": "1"}).config_history == once.config_history


def test_the_history_of_configs_is_bounded() -> None:
    """Ten are enough to see what happened."""
    records = tuple(ConfigRecord(version=v, hash=str(v), at=NOON) for v in range(1, 11))
    before = AgentStatus(config_version=10, config_hash="10", config_history=records)

    history = after(before=before, config={"a": "1"}).config_history

    assert [record.version for record in history] == list(range(2, 12))


def test_a_status_that_does_not_differ_is_not_written() -> None:
    """A settled fleet costs no request."""
    status = after()

    assert written(status, status.model_copy()) is None


def reason_of(status: AgentStatus, reason: str) -> tuple[Condition, ...]:
    return tuple(c.model_copy(update={"reason": reason}) for c in status.conditions)


@pytest.mark.parametrize(
    ("change", "urgent"),
    [
        ({"replicas": 3}, False),
        ({"ready_replicas": 3}, False),
        ({"config_version": 9}, False),
        ({"phase": Phase.ERROR}, True),
        ({"observed_generation": 9}, True),
        ({"stable_revision": "x"}, True),
        ({"target_revision": "x"}, True),
        ({"former_revisions": ("x",)}, True),
        ({"upgrade": "x"}, True),
        ({"config_hash": "x"}, True),
        ({"conditions": reason_of(after(), "Other")}, True),
        ({"conditions": ()}, True),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_only_counters_and_wordings_may_wait(change: dict[str, Any], *, urgent: bool) -> None:
    """Everything that somebody may be waiting for is written at once."""
    write = written(after(), after().model_copy(update=change))

    assert write is not None
    assert write.urgent is urgent


def test_a_status_is_written_as_json_without_empty_fields() -> None:
    """What is absent is removed by the next server-side apply."""
    write = written(AgentStatus(), after(known=facts(phase=None)))

    assert write is not None
    assert write.status["phaseSince"] == "2026-11-21T12:00:00Z"
    assert "lastError" not in write.status
