"""Asks cold pods to answer their warm-up request, each of them again until it has.

What comes from a pod is made by somebody else's program, and a model may well take minutes for its
first answer. So every pod has a task of its own, that waits for nobody but its pod, and what it may
cost is bounded: one request at a time, an answer that is read up to a limit and kept nowhere, and
so many pods of a model and of a namespace at once, so that none waits long for strangers. A pod
that is not asked for any more is let go of at once.

Nothing is remembered but the latest answers; what has to outlive the process stands in the pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol
from weakref import WeakValueDictionary

import aiohttp

from agentherd.domain.kinds import Key
from agentherd.domain.warmth import WarmUpAnswer, WarmUpRequest
from agentherd.engine.guest import guest

PAUSE: Final = 1.0
"""Seconds between an answer other than 2xx and the next request to the same pod."""

BODY_LIMIT: Final = 4 * 2**20
"""Bytes after which an answer counts as complete."""

AT_ONCE: Final = 200
"""Pods whose request has just been sent; whoever does not answer soon makes room for others."""

SOON: Final = 1.0
"""Seconds after which a request counts as one that only waits, which costs a connection."""

AT_ONCE_PER_NAMESPACE: Final = 200
"""Pods that are asked together: models that hang are waited for by those beside them at most."""

AT_ONCE_PER_MODEL: Final = 20
"""Fewer than in a namespace, so that one model whose pods hang leaves room for the others."""


class Unanswered(Exception):
    """No answer came; the text is the end of a sentence that begins with the request."""


class Unheard(Unanswered):
    """Nobody listens there, as in a pod whose server has yet to load what it serves."""


class Client(Protocol):
    """Asks pods."""

    async def status(self, request: WarmUpRequest) -> int:
        """The status of an answer that has come as a whole.

        Raises:
            Unheard: nobody listens.
            Unanswered: there is none for another reason.
        """
        ...


Connect = Callable[[], AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def over_http() -> AsyncIterator[Client]:
    """A session with pods, in which no redirect is followed."""
    async with guest() as session:
        yield _OverHTTP(session)


class _OverHTTP:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def status(self, request: WarmUpRequest) -> int:
        try:
            return await self._status(request)
        except ValueError:  # of a path, a header or a body that HTTP cannot carry
            raise Unanswered("cannot be sent as it is written") from None
        except aiohttp.ClientPayloadError:
            raise Unanswered("was answered in part only") from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or str(error.os_error)
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise (Unheard if refused else Unanswered)(f"cannot be sent: {why}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(f"was not answered in HTTP: {type(error).__name__}") from None

    async def _status(self, request: WarmUpRequest) -> int:
        body = request.body.encode() if request.body is not None else None
        async with self._session.request(
            "GET" if body is None else "POST",
            request.url,
            data=body,
            headers={"Content-Type": request.content_type} if body is not None else None,
            allow_redirects=False,
        ) as response:
            if is_good(response.status):
                # A model may send the head before it has begun to think.
                await _read(response)
            return response.status


async def _read(response: aiohttp.ClientResponse) -> None:
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > BODY_LIMIT:
            return


def is_good(status: int) -> bool:
    """Whether an answer with this status makes a pod warm."""
    return 200 <= status < 300


@dataclass(slots=True, eq=False)
class _Pod:
    request: WarmUpRequest
    answer: WarmUpAnswer | None = None
    task: asyncio.Task[None] | None = None

    def let_go(self) -> None:
        """Ask it no more."""
        if self.task is not None:
            self.task.cancel()


@dataclass(slots=True)
class _Followed:
    namespace: asyncio.Semaphore
    pods: Mapping[str, _Pod] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_PER_MODEL))


class WarmUps:
    """Asks the pods it follows until they have answered; calls `wake(key)` after each news."""

    def __init__(
        self,
        *,
        wake: Callable[[Key], None],
        connect: Connect = over_http,
        pause: float = PAUSE,
    ) -> None:
        self._wake = wake
        self._connect = connect
        self._pause = pause
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._namespaces = WeakValueDictionary[str, asyncio.Semaphore]()
        self._followed: dict[Key, _Followed] = {}
        self._news = asyncio.Event()

    def follow(self, key: Key, requests: Collection[WarmUpRequest]) -> None:
        """Ask this of pods of a model, and nothing else; those asked the same go on."""
        followed = self._followed.pop(key, None) or _Followed(self._of_namespace(key.namespace))
        known = followed.pods
        followed.pods = {each.uid: _followed(known.get(each.uid), each) for each in requests}
        for uid, pod in known.items():
            if followed.pods.get(uid) is not pod:
                pod.let_go()
        if followed.pods:
            self._followed[key] = followed
            self._news.set()

    def answers(self, key: Key) -> Mapping[str, WarmUpAnswer]:
        """The latest answers of the pods of a model that are asked, by uid."""
        followed = self._followed.get(key)
        pods = followed.pods if followed else {}
        return {uid: pod.answer for uid, pod in pods.items() if pod.answer is not None}

    async def run(self) -> None:
        """Ask until cancelled."""
        async with self._connect() as client, asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                for key, followed in self._followed.items():
                    for pod in followed.pods.values():
                        if pod.task is None:
                            task = self._warm(key, pod, followed, client)
                            pod.task = group.create_task(task, name=f"warm-up {key}")
                await self._news.wait()

    def _of_namespace(self, name: str) -> asyncio.Semaphore:
        """The slots that the models of a namespace share, for as long as any of them is asked."""
        known = self._namespaces.get(name)
        if known is None:
            known = self._namespaces[name] = asyncio.Semaphore(AT_ONCE_PER_NAMESPACE)
        return known

    async def _warm(self, key: Key, pod: _Pod, of: _Followed, client: Client) -> None:
        request = pod.request
        answer = WarmUpAnswer(start=request.start, said="", failures=request.failures)
        while True:
            async with of.slots, of.namespace, _at_first(self._slots):
                answer = await _asked(request, answer.failures, client)
            # That still nobody listens is no news.
            if answer != pod.answer:
                pod.answer = answer
                self._wake(key)
            if answer.warm:
                return
            await asyncio.sleep(self._pause)


@asynccontextmanager
async def _at_first(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    """Hold a slot, but not for longer than an answer takes that comes soon."""
    held = [await slots.acquire()]

    def release() -> None:
        if held:
            held.clear()
            slots.release()

    timer = asyncio.get_running_loop().call_later(SOON, release)
    try:
        yield
    finally:
        timer.cancel()
        release()


def _followed(known: _Pod | None, request: WarmUpRequest) -> _Pod:
    return known if known is not None and known.request == request else _Pod(request)


async def _asked(request: WarmUpRequest, failures: int, client: Client) -> WarmUpAnswer:
    """What comes of one more request, after so many failures in a row."""
    answer = partial(WarmUpAnswer, start=request.start)
    try:
        async with asyncio.timeout(request.timeout):
            status = await client.status(request)
    except TimeoutError:
        said = f"was not answered within {request.timeout:g} s"
        return answer(said=said, failures=failures + 1)
    except Unheard as unheard:
        return answer(said=str(unheard), failures=failures, listened=False)
    except Unanswered as unanswered:
        return answer(said=str(unanswered), failures=failures + 1)
    failures = 0 if is_good(status) else failures + 1
    return answer(said=f"was answered with status {status}", failures=failures)
