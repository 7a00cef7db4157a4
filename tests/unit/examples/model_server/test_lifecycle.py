"""How the sample model server starts and ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys

from aiohttp import ClientSession
from model_server.lifecycle import serve


async def test_a_drain_answers_what_is_in_flight_and_closes_the_connection(start, events, pause):
    stop = asyncio.Event()
    task = asyncio.create_task(
        serve(
            start(latencySeconds="1"),
            stop=stop,
            host="127.0.0.1",
            port=0,
            drain_seconds=5,
            sleep=pause,
        )
    )
    url = f"http://127.0.0.1:{(await events.written('start'))['port']}"
    await events.written("model-loaded")

    async with ClientSession() as session:
        request = asyncio.create_task(session.post(f"{url}/v1/embeddings", json={"input": "a"}))
        await pause.begun.wait()
        stop.set()
        await events.written("draining")
        pause.over.set()
        answer = await request
    await task

    assert answer.status == 200
    assert answer.headers["Connection"] == "close"
    assert events.names == ["settings-loaded", "start", "model-loaded", "draining", "cleanup"]
    assert events.data("cleanup")["served"] == 1


async def test_a_server_that_still_loads_ends_at_once(start, events):
    stop = asyncio.Event()
    task = asyncio.create_task(
        serve(start(startSeconds="3600"), stop=stop, host="127.0.0.1", port=0, drain_seconds=5)
    )

    await events.written("start")
    stop.set()
    async with asyncio.timeout(1):
        await task

    assert "model-loaded" not in events.names


def process(path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "model_server"],
        env={**os.environ, "PYTHONPATH": str(path), "PORT": "0", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_sigterm_ends_the_process_with_code_0_and_its_last_words(model_server_path):
    with process(model_server_path, MODEL_BACKEND="dummy") as server:
        first = [json.loads(server.stdout.readline())["event"] for _ in range(3)]
        server.send_signal(signal.SIGTERM)
        last = [json.loads(line)["event"] for line in server.stdout]

    assert first == ["settings-loaded", "start", "model-loaded"]
    assert last == ["draining", "cleanup"]
    assert server.returncode == 0


def test_refused_first_settings_end_the_process_with_code_1(model_server_path):
    with process(model_server_path, MODEL_PRECISION="int4") as server:
        lines = [json.loads(line) for line in server.stdout]

    assert [(line["event"], line["key"]) for line in lines] == [("settings-rejected", "precision")]
    assert server.returncode == 1
