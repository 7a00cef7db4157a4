"""How the sample agent starts and ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from aiohttp import ClientError, ClientSession
from sample_agent.lifecycle import serve


async def test_a_drain_finishes_the_request_in_flight(start, events, pause):
    """A stream that began before the end is whole, although the agent was told to stop."""
    stop = asyncio.Event()
    server = asyncio.create_task(
        serve(start(), stop=stop, host="127.0.0.1", port=0, drain_seconds=5, sleep=pause)
    )
    url = f"http://127.0.0.1:{(await events.written('start'))['port']}"

    async with ClientSession() as session:
        stream = await session.get(f"{url}/stream?seconds=1")
        stop.set()
        await events.written("draining")
        ready = await session.get(f"{url}/readyz")
        pause.over.set()
        lines = (await stream.text()).splitlines()
    await server

    assert ready.status == 503
    assert len(lines) == 1
    assert events.names == ["config-loaded", "start", "draining", "cleanup"]
    assert events.data("draining")["inFlight"] == 1
    assert events.data("cleanup")["served"] == 1


async def test_a_drain_without_requests_ends_at_once(start, events):
    stop = asyncio.Event()
    stop.set()

    async with asyncio.timeout(1):
        await serve(start(), stop=stop, host="127.0.0.1", port=0, drain_seconds=3600)

    assert events.names[-2:] == ["draining", "cleanup"]


async def test_a_request_longer_than_the_grace_is_cut_and_reported(start, events, monkeypatch):
    monkeypatch.setattr("sample_agent.lifecycle.CLOSING_SECONDS", 0.01)
    stop = asyncio.Event()
    server = asyncio.create_task(
        serve(start(), stop=stop, host="127.0.0.1", port=0, drain_seconds=0.01)
    )
    url = f"http://127.0.0.1:{(await events.written('start'))['port']}"

    async with ClientSession() as session:
        stream = await session.get(f"{url}/stream?seconds=3600")
        stop.set()
        await server
        with pytest.raises(ClientError):
            await stream.text()

    assert events.data("drain-timeout")["inFlight"] == 1
    assert events.names[-1] == "cleanup"


def process(path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sample_agent"],
        env={**os.environ, "PYTHONPATH": str(path), "PORT": "0", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_sigterm_ends_the_process_with_code_0_and_its_last_words(sample_agent_path, mounted):
    mounted.swap({"greeting": "Hello"})

    with process(sample_agent_path, AGENTHERD_CONFIG_DIR=str(mounted.path)) as agent:
        first = [json.loads(agent.stdout.readline())["event"] for _ in range(2)]
        agent.send_signal(signal.SIGTERM)
        last = [json.loads(line)["event"] for line in agent.stdout]

    assert first == ["config-loaded", "start"]
    assert last == ["draining", "cleanup"]
    assert agent.returncode == 0


def test_a_refused_first_configuration_ends_the_process_with_code_1(sample_agent_path, mounted):
    mounted.swap({"threshold": "high"})

    with process(sample_agent_path, AGENTHERD_CONFIG_DIR=str(mounted.path)) as agent:
        lines = [json.loads(line) for line in agent.stdout]

    assert [(line["event"], line["key"]) for line in lines] == [("config-rejected", "threshold")]
    assert agent.returncode == 1
