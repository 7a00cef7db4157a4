"""Who did what, when and why: told once for every status that was written, and counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pytest
from tests.twin import Controllers, Rig, Twin, raw_agent, raw_upgrade
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, Key
from agentherd.engine.audit import Audit, Deed
from agentherd.engine.metrics import Metrics
from agentherd.engine.store import Record, Store

CANARY: Final = {"steps": [{"weight": 50, "pause": {"seconds": 5}}]}
POLICY: Final = {"upgradePolicy": {"type": "Canary", "canary": CANARY}}


@dataclass(frozen=True)
class Told:
    """One line of the audit."""

    kind: str
    correlation_id: str
    deed: Deed


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[Told]]:
    """All that was told so far, filled while the test goes on."""
    found: list[Told] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            about, deed = record.__dict__["about"], record.__dict__["deed"]
            found.append(Told(about.kind, about.correlation_id, deed))

    caplog.set_level(logging.INFO, "agentherd.audit")
    listener = Listener()
    logging.getLogger("agentherd.audit").addHandler(listener)
    yield found
    logging.getLogger("agentherd.audit").removeHandler(listener)


async def changed(metrics: Metrics, *, image: str, sick: bool = False) -> tuple[Rig, Twin]:
    """An Agent of two pods in its second version, whose upgrade has ended."""
    twin = Twin(loop_clock)
    controllers = Controllers(twin)
    rig = Rig(twin, controllers=controllers, metrics=metrics)
    twin.put(AGENT, raw_agent(image="agent:1", replicas=2, **POLICY))
    await rig.until_quiet()
    if sick:
        controllers.sick_images[image] = "ImagePullBackOff"
    spec = raw_agent(image=image, replicas=2, **POLICY)["spec"]
    twin.edit(AGENT, "greeter", {"spec": spec}, manager="kubectl")
    await rig.until_quiet(patience=20)
    return rig, twin


async def test_nobody_asks_in_the_name_of_another(told: list[Told]) -> None:
    """Anybody may write into an upgrade of one's own for whom it is said to be."""
    rig, twin = await changed(Metrics(), image="agent:2")
    forged = {
        "name": "mine",
        "namespace": "default",
        "annotations": {"agentherd.dev/requested-by": "alice"},
    }
    spec = {"targetRef": {"name": "greeter"}, "to": {"image": "agent:3"}}
    twin.put(AGENT_UPGRADE, {"metadata": forged, "spec": spec}, manager="kubectl")
    await rig.until_quiet(patience=20)

    asked = [each.deed.actor for each in told if each.deed.action == "Requested"]

    assert asked == ["kubectl", "kubectl"]


async def test_every_phase_of_an_upgrade_is_told_with_its_correlation_id(told: list[Told]) -> None:
    """From who asked for it to its end, whoever made the object; the Agent's lines have it too."""
    _, twin = await changed(Metrics(), image="agent:2")

    (name,) = twin.names(AGENT_UPGRADE)
    uid = twin.live(AGENT_UPGRADE, name)["metadata"]["uid"]
    lines = [each for each in told if each.correlation_id == uid]
    own = [each for each in lines if each.kind == "AgentUpgrade"]
    assert (own[0].deed.action, own[0].deed.actor) == ("Requested", "kubectl")
    assert [each.deed.reason for each in own if each.deed.action == "PhaseChanged"] == [
        "UpgradeStarted",
        "Promoting",
        "UpgradeSucceeded",
    ]
    assert {each.kind for each in lines} == {"Agent", "AgentUpgrade"}


async def test_nothing_is_told_twice_or_left_out(told: list[Told]) -> None:
    """The lines about an upgrade are the entries of its history."""
    _, twin = await changed(Metrics(), image="agent:2")

    (name,) = twin.names(AGENT_UPGRADE)
    history = twin.live(AGENT_UPGRADE, name)["status"]["history"]
    lines = [
        each.deed.reason
        for each in told
        if each.kind == "AgentUpgrade" and each.deed.action in {"PhaseChanged", "StepTaken"}
    ]
    assert lines == [entry["reason"] for entry in history]


async def test_the_end_of_an_upgrade_is_counted() -> None:
    """By its outcome, with how long it took."""
    metrics = Metrics()

    await changed(metrics, image="agent:2")

    ended = {"kind": "Agent", "outcome": "Succeeded"}
    value = metrics.registry.get_sample_value
    assert value("agentherd_upgrades_finished_total", ended) == 1
    assert value("agentherd_upgrade_seconds_count", {"outcome": "Succeeded"}) == 1
    assert value("agentherd_transitions_total", {"kind": "AgentUpgrade", "phase": "Succeeded"}) == 1
    assert value("agentherd_rollbacks_total", {"trigger": "Crash"}) == 0


async def test_a_rollback_is_counted_when_it_begins_and_when_it_has_ended(told: list[Told]) -> None:
    """By its cause, once, with the seconds that the status tells."""
    metrics = Metrics()

    await changed(metrics, image="agent:sick", sick=True)

    trigger = {"trigger": "ImageUnavailable"}
    value = metrics.registry.get_sample_value
    assert value("agentherd_rollbacks_total", trigger) == 1
    assert value("agentherd_rollback_seconds_count", trigger) == 1
    back = [each.deed for each in told if each.deed.reason == "ImageUnavailable"]
    assert (back[0].action, back[0].actor) == ("PhaseChanged", "agentherd")


async def test_what_a_person_did_has_their_name(told: list[Told]) -> None:
    """As the status names them."""
    twin = Twin(loop_clock)
    rig = Rig(twin)
    twin.put(AGENT, raw_agent())
    await rig.until_quiet()

    mode = {"operatingMode": "Offline", "operatingModeReason": "cost"}
    twin.edit(AGENT, "greeter", {"spec": mode}, manager="mary")
    await rig.until_quiet()

    last = told[-1].deed
    assert (last.action, last.actor, last.reason) == ("PhaseChanged", "mary", "cost")
    assert last.message.startswith("Online to Offline")


async def test_a_config_is_changed_by_who_wrote_the_spec(told: list[Told]) -> None:
    """Also one that no pod is replaced for."""
    twin = Twin(loop_clock)
    rig = Rig(twin)
    twin.put(AGENT, raw_agent(config={"a": "1"}, configUpdate="InPlace"))
    await rig.until_quiet()

    twin.edit(AGENT, "greeter", {"spec": {"config": {"a": "2"}}}, manager="mary")
    await rig.until_quiet()

    changes = [each.deed for each in told if each.deed.action == "ConfigChanged"]
    assert [(deed.actor, deed.message) for deed in changes] == [
        ("kubectl", "version 1"),
        ("mary", "version 2"),
    ]


@pytest.fixture
def store() -> Store:
    return Store(AGENT, wake=lambda _: None)


def record(store: Store, version: int, **status: Any) -> Record:
    metadata = {"resourceVersion": str(version)}
    store.put_subject(AGENT_UPGRADE, raw_upgrade(metadata=metadata, status=status))
    found = store.record(AGENT_UPGRADE, Key("default", "greeter-2"))
    assert found is not None
    return found


def control(verb: str, by: str) -> dict[str, str]:
    return {"verb": verb, "by": by, "at": "2026-11-21T12:00:00Z"}


async def test_only_what_is_new_in_a_full_list_is_told(told: list[Told], store: Store) -> None:
    """The oldest have left it meanwhile."""
    controls = [control("Paused", f"user-{number}") for number in range(21)]
    before = record(store, 2, phase="Paused", controls=controls[:20])
    after = record(store, 3, phase="Paused", controls=controls[1:])

    Audit(Metrics(), clock=loop_clock).wrote(AGENT_UPGRADE, Key("default", "x"), before, after)

    assert [each.deed.actor for each in told] == ["user-20"]


async def test_a_cause_in_words_of_others_is_no_label_of_its_own(store: Store) -> None:
    """There are as many series as words of ours, and one more."""
    metrics = Metrics()
    rollback = {
        "trigger": "SomethingNew",
        "reason": "",
        "requestedBy": "a",
        "at": "2026-11-21T12:00:00Z",
    }
    before = record(store, 2, phase="Progressing")
    after = record(store, 3, phase="RollingBack", rollback=rollback)

    Audit(metrics, clock=loop_clock).wrote(AGENT_UPGRADE, Key("default", "x"), before, after)

    value = metrics.registry.get_sample_value
    assert value("agentherd_rollbacks_total", {"trigger": "Other"}) == 1


async def test_verdicts_are_counted_when_they_change(told: list[Told], store: Store) -> None:
    """Not at every look at the metrics."""
    metrics = Metrics()
    statuses = [
        {"phase": "Progressing", "analysis": {"verdict": verdict}}
        for verdict in ("Inconclusive", "Inconclusive", "Pass", "Pass")
    ]
    records = [record(store, number, **status) for number, status in enumerate(statuses, start=2)]

    for before, after in pairwise(records):
        Audit(metrics, clock=loop_clock).wrote(AGENT_UPGRADE, Key("default", "x"), before, after)

    value = metrics.registry.get_sample_value
    assert value("agentherd_verdicts_total", {"verdict": "Pass"}) == 1
    assert [each.deed.action for each in told] == ["Judged"]
