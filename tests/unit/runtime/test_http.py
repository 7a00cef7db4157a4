"""The endpoints: alive, ready, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
from tests.twin import raw_agent

from agentherd.domain.kinds import AGENT
from agentherd.engine.fleets import Fleets
from agentherd.engine.leadership import DURATION, Elector
from agentherd.engine.metrics import Metrics
from agentherd.engine.store import Store
from agentherd.runtime.http import STUCK_AFTER, Health, serve

NAMES = [
    "agentherd_agents",
    "agentherd_api_requests",
    "agentherd_build_info",
    "agentherd_leader",
    "agentherd_models",
    "agentherd_objects",
    "agentherd_queue_depth",
    "agentherd_queue_oldest_seconds",
    "agentherd_reconcile_seconds",
    "agentherd_reconciles",
    "agentherd_rollback_seconds",
    "agentherd_rollbacks",
    "agentherd_transition_seconds",
    "agentherd_transitions",
    "agentherd_upgrade_changed_timestamp_seconds",
    "agentherd_upgrade_due_timestamp_seconds",
    "agentherd_upgrade_seconds",
    "agentherd_upgrade_weight_ratio",
    "agentherd_upgrade_weight_seen_ratio",
    "agentherd_upgrades",
    "agentherd_upgrades_finished",
    "agentherd_verdicts",
    "agentherd_watch_restarts",
]


class FakeElector:
    """When it last turned, and when it last reached the server."""

    turn: float | None = None
    contact: float | None = None


@pytest.fixture
def elector() -> FakeElector:
    return FakeElector()


@pytest.fixture
def health(elector: FakeElector) -> Health:
    return Health(cast("Elector", elector))


@pytest.fixture
async def url(health: Health) -> AsyncIterator[str]:
    async with serve(health, Metrics(), host="127.0.0.1", port=0) as runner:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


def ago(seconds: float) -> float:
    return asyncio.get_running_loop().time() - seconds


@pytest.mark.parametrize(
    ("turn", "status"), [(None, 200), (STUCK_AFTER - 10, 200), (STUCK_AFTER + 10, 503)]
)
async def test_alive_is_a_process_whose_loop_turns(
    url: str, elector: FakeElector, turn: float | None, status: int
) -> None:
    """Whatever it finds at the server: nobody is restarted because that is away."""
    elector.turn = None if turn is None else ago(turn)

    assert (await get(f"{url}/healthz"))[0] == status


@pytest.mark.parametrize(
    ("contact", "synced", "status", "said"),
    [
        (None, None, 503, "has not been reached yet"),
        (DURATION + 5, True, 503, "has not been reached for 20 s"),
        (0, False, 503, "have not been read yet"),
        (0, True, 200, "ok"),
        (0, None, 200, "ok"),
    ],
    ids=["never reached", "out of reach", "reading", "leading", "waiting for the Lease"],
)
async def test_ready_is_a_process_that_can_do_its_work(
    url: str,
    health: Health,
    elector: FakeElector,
    contact: float | None,
    synced: bool | None,
    status: int,
    said: str,
) -> None:
    """Or that stands by; else it says what is missing."""
    elector.contact = None if contact is None else ago(contact)
    health.synced = synced

    found, text = await get(f"{url}/readyz")

    assert found == status
    assert said in text


async def test_metrics_tell_what_is_known(url: str, health: Health) -> None:
    """Agents by phase, objects by kind, and who leads."""
    health.fleets = Fleets([Store(AGENT, wake=lambda _key: None)])
    health.fleets.put_subject(AGENT, raw_agent("a", status={"phase": "Online"}))
    health.fleets.put_subject(AGENT, raw_agent("b"))
    health.synced = True

    _, text = await get(f"{url}/metrics")

    assert 'agentherd_agents{phase="Online"} 1.0' in text
    assert 'agentherd_agents{phase="Unknown"} 1.0' in text
    assert 'agentherd_objects{kind="Agent"} 2.0' in text
    assert "agentherd_leader 1.0" in text


async def test_a_process_that_waits_for_the_lease_knows_nothing(url: str) -> None:
    """And says that it does not lead."""
    status, text = await get(f"{url}/metrics")

    assert status == 200
    assert "agentherd_leader 0.0" in text
    assert "agentherd_agents{" not in text


async def test_a_port_that_is_taken_is_an_error(url: str, health: Health) -> None:
    """The command line turns it into a sentence."""
    port = int(url.rpartition(":")[2])

    with pytest.raises(OSError, match="address"):
        async with serve(health, Metrics(), host="127.0.0.1", port=port):
            pass


def test_the_names_of_the_metrics_change_only_on_purpose() -> None:
    """Dashboards and alerts are made of them."""
    found = {metric.name for metric in Metrics().registry.collect()}

    assert sorted(name for name in found if name.startswith("agentherd_")) == NAMES


def test_requests_are_counted_by_verb_resource_and_status() -> None:
    """Labels are bounded; the name of an object is none."""
    metrics = Metrics()

    metrics.observe_request("APPLY", "services", 200)

    labels = {"verb": "APPLY", "resource": "services", "status": "200"}
    assert metrics.registry.get_sample_value("agentherd_api_requests_total", labels) == 1
