"""Events are few, and gathered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.twin import NOON, Twin

from agentherd.domain.errors import Unreachable
from agentherd.domain.kinds import AGENT, EVENT
from agentherd.domain.plan import Emit, Identity
from agentherd.domain.reasons import Reason
from agentherd.engine import recorder as recorder_module
from agentherd.engine.recorder import BURST, GATHERED_FOR, REFILL, Recorder

GREETER = Identity(kind=AGENT, name="greeter", uid="uid-of-greeter")
OTHER = Identity(kind=AGENT, name="other", uid="uid-of-other")


class Clock:
    """A clock that is set by hand."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(twin: Twin, clock: Clock) -> Recorder:
    return Recorder(twin, identity="test", clock=clock)


def news(reason: Reason = Reason.CRASHING, at: datetime = NOON, **fields: Any) -> Emit:
    target = fields.get("target", GREETER)
    message = fields.get("message", "x")
    return Emit(target=target, reason=reason, message=message, warning=True, at=at)


async def test_an_event_is_about_the_agent(twin: Twin, recorder: Recorder) -> None:
    """As `kubectl describe` looks for it."""
    await recorder.record("default", news(message="m" * 2000))

    (event,) = twin.all(EVENT)
    assert event["regarding"]["uid"] == "uid-of-greeter"
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "Crashing", 1024)
    assert event["eventTime"] == "2026-11-21T12:00:00.000000Z"


@pytest.mark.parametrize("character", ["x", "ä", "語", "🤖"])
async def test_a_message_of_any_language_is_cut_where_the_server_would_refuse_it(
    twin: Twin, recorder: Recorder, character: str
) -> None:
    """It counts bytes; what is cut are whole characters."""
    await recorder.record("default", news(message="m" + character * 2000))

    (event,) = twin.all(EVENT)
    size = len(event["note"].encode())
    assert 1024 - len(character.encode()) < size <= 1024
    assert set(event["note"]) == {"m", character}


async def test_an_object_with_a_long_name_has_events(twin: Twin, recorder: Recorder) -> None:
    """Its name has 253 characters, and that of the Event may not have more."""
    long = Identity(kind=AGENT, name="a" * 241 + "." + "b" * 11, uid="uid-of-long")

    await recorder.record("default", news(target=long))

    (event,) = twin.all(EVENT)
    first, digest = event["metadata"]["name"].rsplit(".", 1)
    assert (first, len(digest)) == ("a" * 241, 10)
    assert event["regarding"]["name"] == long.name


async def test_the_same_thing_told_again_is_counted(
    twin: Twin, recorder: Recorder, clock: Clock
) -> None:
    """Within ten minutes it is one Event."""
    await recorder.record("default", news())
    clock.now += timedelta(minutes=9)
    await recorder.record("default", news(at=clock.now))

    (event,) = twin.all(EVENT)
    assert event["series"] == {"count": 2, "lastObservedTime": "2026-11-21T12:09:00.000000Z"}


async def test_later_it_is_told_anew(twin: Twin, recorder: Recorder, clock: Clock) -> None:
    """The API server has soon forgotten the earlier one."""
    await recorder.record("default", news())
    clock.now += GATHERED_FOR
    await recorder.record("default", news(at=clock.now))

    assert len(twin.all(EVENT)) == 2


async def test_other_reasons_and_other_agents_are_other_events(
    twin: Twin, recorder: Recorder
) -> None:
    """Only what is the same is gathered."""
    await recorder.record("default", news())
    await recorder.record("default", news(Reason.OUT_OF_MEMORY))
    await recorder.record("default", news(target=OTHER))

    assert len(twin.all(EVENT)) == 3


async def test_an_agent_that_talks_all_the_time_is_cut_short(
    twin: Twin, recorder: Recorder, clock: Clock
) -> None:
    """A burst, then one in five minutes."""
    for number, reason in enumerate(list(Reason)[: BURST + 5]):
        await recorder.record("default", news(reason, NOON + timedelta(seconds=number)))
    burst = len(twin.all(EVENT))
    clock.now += REFILL
    for reason in list(Reason)[-2:]:
        await recorder.record("default", news(reason, clock.now))

    assert burst == BURST
    assert len(twin.all(EVENT)) == BURST + 1


async def test_an_event_that_failed_is_tried_anew_the_next_time(
    twin: Twin, recorder: Recorder
) -> None:
    """It is not counted as told."""
    twin.interrupt(1, "before", Unreachable("no answer"))

    await recorder.record("default", news())
    await recorder.record("default", news(at=NOON + timedelta(seconds=1)))

    assert len(twin.all(EVENT)) == 1


async def test_an_event_that_is_gone_is_told_anew(
    twin: Twin, recorder: Recorder, clock: Clock
) -> None:
    """Somebody deleted it, or the server forgot it."""
    await recorder.record("default", news())
    twin.remove(EVENT, twin.names(EVENT)[0])

    for _ in range(2):
        clock.now += timedelta(seconds=1)
        await recorder.record("default", news(at=clock.now))

    assert len(twin.all(EVENT)) == 1


async def test_what_is_remembered_is_bounded(
    twin: Twin, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet has many Agents; who was forgotten is told anew."""
    monkeypatch.setattr(recorder_module, "REMEMBERED", 1)
    told = [GREETER, OTHER, GREETER]

    for number, each in enumerate(told):
        await recorder.record("default", news(target=each, at=NOON + timedelta(seconds=number)))

    assert len(twin.all(EVENT)) == 3
