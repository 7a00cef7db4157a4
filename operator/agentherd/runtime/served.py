"""Which of our kinds the API server serves.

An operator may be newer than the CRDs and the roles that are installed, as it is in the middle of
an update. What it knows besides must not cost the Agents anything: a kind that is missing, or may
not be read, is left out until it is there, and then all is begun anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from agentherd.cluster import Cluster
from agentherd.domain.errors import Forbidden, NotFound, TransientError
from agentherd.domain.kinds import MODEL_DEPLOYMENT, Kind
from agentherd.engine.store import SUBJECT_KINDS

log = logging.getLogger(__name__)

OPTIONAL: Final = (MODEL_DEPLOYMENT,)
"""Kinds without which the others can be served."""

RETRY_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 60.0
"""Seconds after which it is looked again for a kind that is missing."""


async def served(cluster: Cluster, namespaces: tuple[str, ...]) -> tuple[Kind, ...]:
    """The kinds to watch; waits for as long as the API server gives no answer."""
    missing = set()
    for kind in OPTIONAL:
        if why := await _missing(cluster, kind, namespaces):
            missing.add(kind)
            log.warning(
                "%s are not served in any namespace: %s; install the CRDs and the roles of this "
                "version. Nothing else is affected",
                kind.plural,
                why,
            )
    return tuple(kind for kind in SUBJECT_KINDS if kind not in missing)


async def until_served(
    cluster: Cluster, namespaces: tuple[str, ...], known: Collection[Kind]
) -> None:
    """Wait until a kind that is not among the known ones is served as well, if need be for ever."""
    missing = [kind for kind in OPTIONAL if kind not in known]
    if not missing:
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(ABSENT_SECONDS)
        for kind in missing:
            if not await _missing(cluster, kind, namespaces):
                log.info("%s can be served now, all objects are read anew", kind.plural)
                return


async def _missing(cluster: Cluster, kind: Kind, namespaces: tuple[str, ...]) -> str:
    """Where and why a kind cannot be read; "" when it can, in all namespaces.

    kopf watches a kind in all of them or in none, so one that is missing in one is left out.
    """
    found = [await _refusal(cluster, kind, namespace) for namespace in namespaces or (None,)]
    return "; ".join(why for why in found if why)


async def _refusal(cluster: Cluster, kind: Kind, namespace: str | None) -> str:
    where = f"in namespace {namespace}: " if namespace else ""
    while True:
        try:
            async for _ in cluster.list(kind, namespace=namespace, metadata_only=True):
                pass
        except (NotFound, Forbidden) as error:
            return f"{where}{error}"
        except TransientError as error:
            log.info("cannot list %s: %s", kind.plural, error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return ""
