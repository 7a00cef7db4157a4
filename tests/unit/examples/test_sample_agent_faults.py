"""The faults of the sample agent come when, and as often as, its configuration says."""

import pytest
from sample_agent.config import Settings
from sample_agent.faults import Faults


def draws(settings: Settings, *, count: int) -> list[bool]:
    faults = Faults(settings, clock=lambda: 0.0)
    return [faults.next_request_fails() for _ in range(count)]


def test_the_same_seed_fails_the_same_requests():
    settings = Settings(error_rate=0.3, fault_seed=7)

    assert draws(settings, count=200) == draws(settings, count=200)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_requests_fail_at_the_rate_asked_for(rate):
    failed = sum(draws(Settings(error_rate=rate, fault_seed=1), count=4000))

    assert failed / 4000 == pytest.approx(rate, abs=0.02)


def test_the_probe_fails_once_its_time_has_come(start, clock):
    agent = start(probeFailAfterSeconds="10")

    clock.now += 9.9
    assert agent.healthy

    clock.now += 0.1
    assert not agent.healthy


def test_the_process_crashes_once_its_time_has_come(start, clock, crashes, events):
    agent = start(crashAfterSeconds="5")
    clock.now += 4.9
    agent.tick()
    assert not crashes

    clock.now += 0.1
    agent.tick()

    assert crashes == ["crash"]
    assert events.names[-1] == "crash"


def test_a_fault_that_is_switched_on_counts_its_time_from_then(start, mounted, clock, crashes):
    agent = start(greeting="Hello")
    clock.now += 3600

    mounted.swap({"crashAfterSeconds": "5"})
    agent.tick()

    assert not crashes


def test_memory_is_lost_at_the_rate_asked_for(start, clock):
    agent = start(memoryLeakMBPerSecond="0.5")

    for _ in range(4):
        clock.now += 1
        agent.tick()

    assert agent.lost_bytes == 2_000_000
