"""A kind that the API server does not have costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.twin import Twin

from agentherd.cluster.verbs import Page
from agentherd.domain.errors import AgentherdError, Forbidden, NotFound, Unreachable
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT, Kind
from agentherd.engine.store import SUBJECT_KINDS
from agentherd.runtime import served as module
from agentherd.runtime.served import served, until_served


class Older(Twin):
    """An API server that answers otherwise when it is asked for ModelDeployments."""

    def __init__(self, *answers: AgentherdError) -> None:
        super().__init__()
        self.answers = list(answers)

    async def list(self, kind: Kind, **options: Any) -> AsyncIterator[Page]:  # type: ignore[override]
        if kind is MODEL_DEPLOYMENT and self.answers:
            raise self.answers.pop(0)
        async for page in super().list(kind, **options):
            yield page


class Fenced(Twin):
    """An API server that lets ModelDeployments be read in the namespace `one` alone."""

    async def list(self, kind: Kind, **options: Any) -> AsyncIterator[Page]:  # type: ignore[override]
        if kind is MODEL_DEPLOYMENT and options["namespace"] != "one":
            raise Forbidden("not allowed")
        async for page in super().list(kind, **options):
            yield page


async def test_all_kinds_are_watched_where_all_are_there() -> None:
    """As in a cluster with the CRDs of this version."""
    assert await served(Twin(), ()) == SUBJECT_KINDS


@pytest.mark.parametrize("answer", [NotFound("no such resource"), Forbidden("not allowed")])
async def test_a_kind_that_is_missing_or_cannot_be_read_is_left_out(
    answer: AgentherdError, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is said once what to do about it."""
    assert await served(Older(answer), ()) == (AGENT, AGENT_UPGRADE)

    (record,) = caplog.records
    assert "modeldeployments are not served" in record.getMessage()


async def test_it_is_said_in_which_namespace_a_kind_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left out in the others as well, of which the reason would say nothing."""
    twin = Fenced()

    assert await served(twin, ("one", "two")) == (AGENT, AGENT_UPGRADE)

    (record,) = caplog.records
    assert "not served in any namespace: in namespace two: not allowed;" in record.getMessage()


async def test_no_answer_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that is there would not be watched until the next start."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)

    assert await served(Older(Unreachable("away")), ()) == SUBJECT_KINDS


async def test_a_kind_that_appears_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing the CRDs after the operator is enough."""
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0)
    older = Older(NotFound("no such resource"))

    await asyncio.wait_for(until_served(older, (), (AGENT, AGENT_UPGRADE)), 1)

    assert older.answers == []


async def test_nobody_looks_for_what_is_there() -> None:
    """It would be asked for once a minute for nothing."""
    twin = Twin()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until_served(twin, (), SUBJECT_KINDS), 0.05)

    assert twin.requests == []
