"""Fleets on the cluster: created at once, changed at once, removed before the next run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.bench.client import MERGE, Client, Refused, for_each
from tests.bench.manifests import DEPLOYMENT, NAMESPACE

from agentherd.domain.kinds import (
    AGENT,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)

Told = Callable[[str, str], None]

# Owners first, so that no controller makes anew what is being removed.
_REMOVED = (
    *(AGENT, DEPLOYMENT, REPLICA_SET, POD, SERVICE),
    *(CONTROLLER_REVISION, CONFIG_MAP, SERVICE_ACCOUNT),
)
_KEPT = {"kube-root-ca.crt", "default"}


async def make_namespace(client: Client, name: str) -> None:
    """A namespace, if it is not there, and empty."""
    body = {"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": name}}
    try:
        await client.write("POST", NAMESPACE.path(), body)
    except Refused as error:
        if "AlreadyExists" not in str(error):
            raise
    await clear(client, name)


async def create(
    client: Client,
    kind: Kind,
    namespace: str,
    members: Iterable[str],
    manifest: Callable[[str, str], dict[str, Any]],
    *,
    told: Told = lambda _name, _uid: None,
) -> None:
    """Create all members at once; `told` gets the name and uid of each."""
    path = kind.path(namespace)
    bodies = {member: json.dumps(manifest(member, namespace)).encode() for member in members}

    async def one(member: str) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await client.send("POST", path, body=bodies[member], headers=headers)
        # The uid is the object's first one; owners have theirs later. Cheaper than parsing.
        told(member, answer.split(b'"uid":"', 1)[1][:36].decode())

    await for_each(bodies, one)


async def patch(
    client: Client, namespace: str, members: Iterable[str], spec: Mapping[str, Any]
) -> None:
    """Merge the same into the spec of all members at once."""
    body = {"spec": spec}
    await for_each(
        members,
        lambda member: client.write("PATCH", AGENT.path(namespace, member), body, MERGE),
    )


async def items(client: Client, kind: Kind, namespace: str) -> list[dict[str, Any]]:
    """All objects of a kind."""
    found: list[dict[str, Any]] = (await client.read(kind.path(namespace)))["items"]
    return found


async def clear(client: Client, namespace: str) -> None:
    """Remove all that a fleet left in a namespace, and wait until it is gone."""
    async with asyncio.timeout(300):
        while left := [kind for kind in _REMOVED if await _remains(client, kind, namespace)]:
            for kind in left:
                await _remove(client, kind, namespace)
            await asyncio.sleep(0.5)


async def _remains(client: Client, kind: Kind, namespace: str) -> bool:
    found = (await client.read(f"{kind.path(namespace)}?limit=3"))["items"] or []
    return any(item["metadata"]["name"] not in _KEPT for item in found)


async def _remove(client: Client, kind: Kind, namespace: str) -> None:
    options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
    if kind in {SERVICE, SERVICE_ACCOUNT, CONFIG_MAP}:
        names = [item["metadata"]["name"] for item in await items(client, kind, namespace)]
        await for_each(
            (name for name in names if name not in _KEPT),
            lambda name: client.send("DELETE", kind.path(namespace, name), missing_ok=True),
        )
        return
    await client.write("DELETE", kind.path(namespace), options)
