"""Whether the API server checks who approves, found out by trying to forge an approval.

A ValidatingAdmissionPolicy that is missing, bound to other namespaces or does not deny looks like a
working one to whoever only reads specs. So the server is asked to create an upgrade that somebody
else has approved, without storing it (a dry run). Only one that refuses it for that very reason
counts as one that checks. It is asked when an approval is seen for the first time, by namespace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from agentherd.cluster import Cluster
from agentherd.domain.errors import TerminalError, TransientError
from agentherd.domain.kinds import AGENT_UPGRADE, Key
from agentherd.domain.upgrades.approval import POLICY_SAYS

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 5.0
"""How long the server is taken to check still, so that many approvals at once cost one request."""

RETRY_SECONDS: Final = 10.0
"""How long after an answer that was no proof the server is asked again."""


@dataclass(slots=True)
class _Inquiry:
    """What is known of a namespace, and the Agents that wait for more; None while nobody does."""

    checked: bool | None = None
    at: float = float("-inf")
    waiting: set[Key] | None = None


class Approvals:
    """Asks the API server for Agents that have to know; calls `wake(agent)` with each answer."""

    def __init__(self, cluster: Cluster, *, wake: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._wake = wake
        self._inquiries: dict[str, _Inquiry] = {}
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    def checked(self, agent: Key) -> bool | None:
        """Whether forged approvals are refused in the Agent's namespace; None: not known yet."""
        inquiry = self._inquiries.setdefault(agent.namespace, _Inquiry())
        fresh = asyncio.get_running_loop().time() < inquiry.at + FRESH_SECONDS
        if inquiry.checked and fresh:
            return True
        if inquiry.waiting is None:
            inquiry.waiting = set()
            self._asked.put_nowait(agent.namespace)
        inquiry.waiting.add(agent)
        return None if inquiry.checked else inquiry.checked

    async def run(self) -> None:
        """Ask whatever has to be known, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                namespace = await self._asked.get()
                task = self._inquire(namespace, self._inquiries[namespace])
                group.create_task(task, name=f"approvals in {namespace}")

    async def _inquire(self, namespace: str, inquiry: _Inquiry) -> None:
        inquiry.checked = await self._refuses_forgery(namespace)
        inquiry.at = asyncio.get_running_loop().time()
        if not inquiry.checked:
            self._tell(inquiry.waiting or ())
            await asyncio.sleep(RETRY_SECONDS)
        waiting, inquiry.waiting = inquiry.waiting or set(), None
        self._tell(waiting)

    def _tell(self, agents: Iterable[Key]) -> None:
        for agent in agents:
            self._wake(agent)

    async def _refuses_forgery(self, namespace: str) -> bool | None:
        try:
            await self._cluster.create(AGENT_UPGRADE, forged(namespace), dry_run=True)
        except TransientError as error:
            log.info("cannot tell whether approvals are checked in %s: %s", namespace, error)
            return None
        except TerminalError as error:
            if POLICY_SAYS in str(error):
                return True
            log.info("cannot tell whether approvals are checked in %s: %s", namespace, error)
            return None
        log.warning("forged approvals are let through in %s: no policy is in force", namespace)
        return False


def forged(namespace: str) -> dict[str, Any]:
    """An upgrade of no Agent, approved by a user who is nobody."""
    name = "agentherd-approval-check"
    return {
        "apiVersion": AGENT_UPGRADE.api_version,
        "kind": AGENT_UPGRADE.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targetRef": {"name": name}, "approval": {"approvedBy": "agentherd:nobody"}},
    }
