"""The whole herd in a cluster in memory: who works, and who is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from tests.twin import Rig, Twin, raw_agent
from tests.twin.models import NAME, ModelRig, raw_model
from tests.twin.rig import loop_clock, shared_metrics

from agentherd.cluster import Page
from agentherd.domain.kinds import (
    AGENT,
    AGENT_UPGRADE,
    MODEL_DEPLOYMENT,
    REPLICA_SET,
    ROUTE_KINDS,
    Key,
    Kind,
)
from agentherd.engine.store import SUBJECT_KINDS
from agentherd.runtime.herd import Herd
from agentherd.runtime.settings import Settings

OWN: Final[dict[str, Any]] = {"parentRefs": [{"name": "gate"}]}
PAUSED: Final = {"canary": {"steps": [{"weight": 5, "pause": {}}]}}


async def amid_a_swap(twin: Twin) -> None:
    """A model of which a swap waits in its first step."""
    rig = ModelRig(twin)
    twin.put(MODEL_DEPLOYMENT, raw_model(upgradePolicy=PAUSED))
    await rig.until_quiet()
    twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": {"activeVersion": "v2"}})
    await rig.until_quiet()


async def term(twin: Twin, served: Collection[Kind], *, seconds: float) -> None:
    """Lead for some time, while the API server tells of the `served` kinds."""
    herd = Herd(
        served,
        cluster=twin,
        settings=Settings(lease=Key("default", "agentherd")),
        metrics=shared_metrics(),
        may_write=lambda: True,
        clock=loop_clock,
    )

    async def lead() -> None:
        async with asyncio.TaskGroup() as group:
            herd.look(group)
            await herd.watches.synced()
            for kind in served:
                for raw in twin.all(kind):
                    herd.fleets.put_subject(kind, raw)
            await herd.watches.routed()
            herd.work(group)

    leading = asyncio.create_task(lead())
    await asyncio.sleep(seconds)
    leading.cancel()
    await asyncio.wait([leading])
    assert leading.cancelled()


def written(twin: Twin, since: int) -> list[tuple[str, str]]:
    reading = {"GET", "LIST", "WATCH"}
    return [(r.verb, r.kind.name) for r in twin.requests[since:] if r.verb not in reading]


async def test_a_term_that_cannot_read_models_leaves_their_swaps_alone() -> None:
    """Their models are not gone: an end of the swap could not be taken back."""
    twin = Twin(loop_clock)
    await amid_a_swap(twin)
    before = len(twin.requests)

    await term(twin, (AGENT, AGENT_UPGRADE), seconds=60)

    assert written(twin, before) == []
    (upgrade,) = twin.all(AGENT_UPGRADE)
    assert upgrade["status"]["phase"] == "Paused"


async def test_a_term_that_can_works_on_them() -> None:
    """The same swap goes on when somebody promotes it."""
    twin = Twin(loop_clock)
    await amid_a_swap(twin)
    twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": {"activeVersion": "v1"}})

    await term(twin, SUBJECT_KINDS, seconds=60)

    (upgrade,) = twin.all(AGENT_UPGRADE)
    assert upgrade["status"]["phase"] != "Paused"


class SlowRoutes(Twin):
    """An API server that takes its time to list routes; None is for ever."""

    seconds: float | None = 0

    async def list(self, kind: Kind, **words: Any) -> AsyncIterator[Page]:
        """As slow as it is for this kind."""
        if kind in ROUTE_KINDS:
            await asyncio.sleep(self.seconds if self.seconds is not None else 3600)
        async for page in super().list(kind, **words):
            yield page


async def at_a_weight(twin: Twin) -> None:
    """An Agent of which an upgrade waits at a weight."""
    rig = Rig(twin)
    twin.put(AGENT, raw_agent(replicas=2, traffic=OWN, upgradePolicy=PAUSED))
    await rig.live(seconds=5)
    changed = raw_agent(replicas=2, image="agent:2", traffic=OWN, upgradePolicy=PAUSED)
    twin.edit(AGENT, "greeter", {"spec": changed["spec"]})
    await rig.live(seconds=20)
    (upgrade,) = twin.all(AGENT_UPGRADE)
    assert (upgrade["status"]["phase"], upgrade["status"]["weight"]) == ("Paused", 5)


async def test_a_term_does_not_begin_before_the_routes_have_been_read() -> None:
    """An upgrade that is at a step would lose it to routes that nobody has looked for."""
    twin = SlowRoutes(loop_clock)
    await at_a_weight(twin)
    before = len(twin.requests)
    twin.seconds = 2

    await term(twin, SUBJECT_KINDS, seconds=60)

    assert written(twin, before) == []


async def test_a_term_begins_although_routes_cannot_be_read() -> None:
    """Only who has one waits for them."""
    twin = SlowRoutes(loop_clock)
    await at_a_weight(twin)
    twin.put(AGENT, raw_agent("plain", replicas=1))
    twin.seconds = None

    await term(twin, SUBJECT_KINDS, seconds=60)

    (made,) = (r for r in twin.all(REPLICA_SET) if r["metadata"]["name"].startswith("plain-"))
    assert made["spec"]["replicas"] == 1


async def test_the_queues_of_all_kinds_are_counted_together() -> None:
    """How many wait, and for how long the first of them has."""
    herd = Herd(
        SUBJECT_KINDS,
        cluster=Twin(loop_clock),
        settings=Settings(lease=Key("default", "agentherd")),
        metrics=shared_metrics(),
        may_write=lambda: True,
        clock=loop_clock,
    )
    before = (herd.waiting, herd.oldest_wait)

    herd.fleets.put_subject(AGENT, raw_agent())
    await asyncio.sleep(7)
    herd.fleets.put_subject(MODEL_DEPLOYMENT, raw_model())

    assert before == (0, 0)
    assert (herd.waiting, herd.oldest_wait) == (2, 7)
