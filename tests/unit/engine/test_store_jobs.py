"""Jobs are kept from the first one on that may be made, and their end wakes the Agent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin import raw_agent, raw_upgrade

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, JOB, Key
from agentherd.engine.store import Store

GREETER = Key("default", "greeter")
SMOKE = {"name": "smoke", "job": {"template": {"spec": {"containers": []}}}}
QUALITY = {"name": "quality", "minimum": 1, "http": {"url": "http://judge:80"}}
TRIED = {"metrics": [SMOKE]}
Woken = list[Key]


@pytest.fixture
def woken() -> Woken:
    return []


@pytest.fixture
def store(woken: Woken) -> Store:
    return Store(AGENT, wake=woken.append)


def job(version: int, *conditions: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "namespace": "default",
        "name": "greeter-2-smoke-1",
        "uid": "uid-of-job",
        "resourceVersion": str(version),
        "labels": {"agentherd.dev/agent": "greeter"},
    }
    return {"metadata": metadata, "status": {"active": version, "conditions": list(conditions)}}


@pytest.mark.parametrize(
    ("kind", "raw", "wanted"),
    [
        (AGENT, raw_agent(), False),
        (AGENT, raw_agent(upgradePolicy={"analysis": {"metrics": [QUALITY]}}), False),
        (AGENT, raw_agent(upgradePolicy={"analysis": TRIED}), True),
        (AGENT_UPGRADE, raw_upgrade(), False),
        (AGENT_UPGRADE, raw_upgrade(analysis=TRIED), True),
    ],
)
def test_nobody_watches_jobs_before_there_may_be_one(
    store: Store, kind: Any, raw: dict[str, Any], wanted: bool
) -> None:
    store.put_subject(kind, raw)

    assert store.jobs_wanted.is_set() is wanted


def test_the_end_of_a_job_wakes_its_agent_and_nothing_before(store: Store, woken: Woken) -> None:
    """Not even that its pod has started."""
    store.put(JOB, job(1), own=True)
    store.put(JOB, job(2))
    before = list(woken)

    store.put(JOB, job(3, {"type": "Complete", "status": "True"}))

    assert (before, woken) == ([], [GREETER])


def test_whoever_waits_to_know_of_jobs_is_told_that_there_are_none(
    store: Store, woken: Woken
) -> None:
    """Others have nothing to wait for."""
    store.put_subject(AGENT, raw_agent(upgradePolicy={"analysis": TRIED}))
    store.put_subject(AGENT, raw_agent("other"))
    woken.clear()

    store.replace(JOB, [], 5, None)

    assert woken == [GREETER]
