"""Who leads: one Lease, at most one holder.

`claim` is pure: from the Lease as it was read it follows what to write. Times in a Lease come
from other machines' clocks, so an expired lease is recognised by *our* clock: the holder has
failed to renew it for its duration since we first saw this very version of it (as client-go
does). The holder stops leading earlier than others may take over, and gives the Lease back when
it ends in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agentherd.cluster import Cluster
from agentherd.domain.errors import AgentherdError, Conflict, NotFound
from agentherd.domain.kinds import LEASE, Key

log = logging.getLogger(__name__)

DURATION: Final = 15.0
"""Seconds after which a Lease that is not renewed may be taken."""

RENEW_DEADLINE: Final = 10.0
"""Seconds without a renewal after which the holder stops."""

PERIOD: Final = 2.0
"""Seconds between two looks at the Lease."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A version of the Lease and the loop time at which it was first seen."""

    version: str
    at: float


def claim(
    lease: Mapping[str, Any] | None,
    *,
    key: Key,
    identity: str,
    seen: Sighting | None,
    now: datetime,
    loop_time: float,
) -> dict[str, Any] | None:
    """The Lease to write in order to hold it; None while somebody else does."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = dict(lease.get("spec") or {}) if lease else {}
    holder = spec.get("holderIdentity")
    if holder and holder != identity:
        duration = float(spec.get("leaseDurationSeconds") or DURATION)
        if seen is None or loop_time - seen.at < duration:
            return None
    if holder != identity:
        spec["acquireTime"] = stamp
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
    spec |= {
        "holderIdentity": identity,
        "leaseDurationSeconds": int(DURATION),
        "renewTime": stamp,
    }
    metadata = dict(lease["metadata"]) if lease else {"name": key.name, "namespace": key.namespace}
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.name,
        "metadata": metadata,
        "spec": spec,
    }


class Elector:
    """Holds the Lease for this process, or waits for it."""

    def __init__(
        self, cluster: Cluster, *, key: Key, identity: str, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._key = key
        self._identity = identity
        self._clock = clock
        self._seen: Sighting | None = None
        self._lease: Mapping[str, Any] | None = None
        self._renewed = 0.0
        self.contact: float | None = None
        self.turn: float | None = None

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        while not await self._try():  # noqa: ASYNC110  (the Lease is elsewhere)
            await asyncio.sleep(PERIOD)
        log.info("leading as %s", self._identity)

    def holds(self) -> bool:
        """Whether the last renewal is young enough to act on."""
        return asyncio.get_running_loop().time() < self._renewed + RENEW_DEADLINE

    async def hold(self) -> None:
        """Renew the Lease; returns when it is lost, at the latest at the deadline of a renewal."""
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout_at(self._renewed + RENEW_DEADLINE):
                    await asyncio.sleep(PERIOD)
                    if not await self._try() and self._held_by_other():
                        break
        log.error("the Lease %s is lost", self._key)

    async def release(self) -> None:
        """Give the Lease back, so that another process need not wait for it to expire."""
        if self._lease is None or self._held_by_other():
            return
        try:
            async with asyncio.timeout(PERIOD):
                # A renewal that was cut off may have been written all the same.
                self._lease = await self._read()
                if self._lease is None or self._held_by_other():
                    return
                spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace(LEASE, {**self._lease, "spec": spec})
        except (AgentherdError, TimeoutError) as error:
            log.warning("the Lease %s is not given back: %s", self._key, error or "timeout")

    async def _try(self) -> bool:
        loop = asyncio.get_running_loop()
        self.turn = asked = loop.time()
        try:
            async with asyncio.timeout(RENEW_DEADLINE / 2):
                held = await self._claim(loop)
        except (AgentherdError, TimeoutError) as error:
            log.warning("the Lease %s cannot be written: %s", self._key, error or "timeout")
            self._lease = None
            return False
        if held:
            # Others count from when they see the renewal, which is after it was asked for.
            self._renewed = asked
        return held

    async def _claim(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._lease is None or self._held_by_other():
            self._lease = await self._read()
            self.contact = loop.time()
        if self._lease is not None:
            version = self._lease["metadata"]["resourceVersion"]
            if self._seen is None or self._seen.version != version:
                self._seen = Sighting(version, loop.time())
        wanted = claim(
            self._lease,
            key=self._key,
            identity=self._identity,
            seen=self._seen,
            now=self._clock(),
            loop_time=loop.time(),
        )
        if wanted is None:
            return False
        write = self._cluster.create if self._lease is None else self._cluster.replace
        try:
            self._lease = await write(LEASE, wanted)
        except Conflict:
            self._lease = await self._read()
            return False
        self.contact = loop.time()
        return True

    async def _read(self) -> Mapping[str, Any] | None:
        try:
            return await self._cluster.get(LEASE, self._key)
        except NotFound:
            return None

    def _held_by_other(self) -> bool:
        spec = (self._lease or {}).get("spec") or {}
        return spec.get("holderIdentity") not in {None, "", self._identity}
