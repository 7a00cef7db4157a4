"""`Inquiries`: asks the sources of metrics what is due, and keeps the answers until they are used.

A slow source costs nobody else: each question has a second among all others, and is then answered
among the slow ones or given up. An Agent has one question at a time for each of its metrics.

An answer is kept for as long as its question is asked. It is not asked any more once the answer is
in the status, so one that could not be written is not asked for twice, and one that was forgotten
with the process is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from agentherd.api import PrometheusQuery
from agentherd.domain.judging.metrics import Measured, Question
from agentherd.domain.kinds import Key
from agentherd.engine.sources import http, prometheus
from agentherd.engine.sources.web import NoAnswer, Web

log = logging.getLogger(__name__)

SLOW: Final = 1.0
"""Seconds after which a question makes room for those that are answered quickly."""

AT_ONCE: Final = 50
"""Questions that are open together."""

SLOW_AT_ONCE: Final = 200
"""As many besides that take longer than `SLOW`; they cost a socket each and nothing else."""

Connect = Callable[[], AbstractAsyncContextManager[Web]]


@dataclass(slots=True)
class _Inquiry:
    question: Question
    open: bool = False
    answer: Measured | None = None


class Inquiries:
    """Calls `wake(key)` after each answer, be it a number or why there is none."""

    def __init__(
        self,
        *,
        wake: Callable[[Key], None],
        clock: Callable[[], datetime],
        connect: Connect,
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._connect = connect
        self._asked: dict[Key, dict[Question, _Inquiry]] = {}
        self._waiting: asyncio.Queue[tuple[Key, _Inquiry]] = asyncio.Queue()
        self._quick = asyncio.Semaphore(AT_ONCE)
        self._slow = asyncio.Semaphore(SLOW_AT_ONCE)

    def ask(self, key: Key, questions: Collection[Question]) -> None:
        """Ask this for an Agent and nothing else; an answer to the same question is kept."""
        known = self._asked.pop(key, {})
        for question in questions:
            same = replace(question, since=None)
            inquiry = known.get(same) or _Inquiry(same)
            if inquiry.answer and inquiry.answer.at == question.since:
                inquiry.answer = None
            if inquiry.answer is None and not inquiry.open:
                inquiry.open = True
                self._waiting.put_nowait((key, inquiry))
            self._asked.setdefault(key, {})[same] = inquiry

    def measurements(self, key: Key) -> Mapping[str, Measured]:
        """The answers to what is asked for an Agent, by the names of metrics."""
        asked = self._asked.get(key, {}).values()
        return {each.question.metric: each.answer for each in asked if each.answer}

    async def run(self) -> None:
        """Ask until cancelled."""
        async with self._connect() as session, asyncio.TaskGroup() as group:
            while True:
                key, inquiry = await self._waiting.get()
                group.create_task(
                    self._inquire(key, inquiry, session),
                    name=f"ask {inquiry.question.metric} of {key}",
                )

    async def _inquire(self, key: Key, inquiry: _Inquiry, session: Web) -> None:
        try:
            value = await self._in_turn(inquiry.question, session)
            answer = Measured(at=self._clock(), value=value)
        except NoAnswer as error:
            answer = Measured(at=self._clock(), message=_writable(str(error)))
            log.debug("%s, metric %s: %s", key, inquiry.question.metric, error)
        except Exception:  # a bug met on one answer must not cost the others
            log.exception("cannot measure %s of %s", inquiry.question.metric, key)
            answer = Measured(
                at=self._clock(), message="asking has failed; see the log of the operator"
            )
        inquiry.answer, inquiry.open = answer, False
        if inquiry is self._asked.get(key, {}).get(inquiry.question):
            self._wake(key)

    async def _in_turn(self, question: Question, session: Web) -> float:
        """Ask for a second among all, and then among the slow, if they have room."""
        async with self._quick:
            asking = asyncio.ensure_future(_ask(question, session))
            try:
                await asyncio.wait({asking}, timeout=SLOW)
            except asyncio.CancelledError:
                asking.cancel()
                raise
        if asking.done():
            return asking.result()
        if self._slow.locked():
            asking.cancel()
            raise NoAnswer(f"no answer within {SLOW:g} s, and too many other sources are slow")
        async with self._slow:
            return await asking


async def _ask(question: Question, session: Web) -> float:
    source = question.source
    if isinstance(source, PrometheusQuery):
        return await prometheus.ask(session, source)
    return await http.ask(session, source)


def _writable(text: str) -> str:
    """The same, without the halves of characters that JSON can hold and UTF-8 cannot."""
    return text.encode(errors="replace").decode()
