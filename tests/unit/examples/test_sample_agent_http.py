"""What the sample agent answers, and what it counts of it."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families
from sample_agent.web import build_app


@asynccontextmanager
async def client_of(agent, *, sleep=asyncio.sleep):
    async with TestClient(TestServer(build_app(agent, sleep=sleep))) as client:
        yield client


async def scrape(client) -> dict[tuple[str, ...], float]:
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }


async def status(client, path: str) -> int:
    return (await client.get(path)).status


async def test_an_answer_says_who_answers_and_with_which_configuration(start):
    agent = start(greeting="Grüezi ☀", prompt="Be brief.")

    async with client_of(agent) as client:
        answer = await (await client.get("/")).json()

    assert answer == {
        "agent": "hello",
        "version": "1.2.0",
        "revision": "5d4f8c",
        "pod": "hello-5d4f8c-x2x4q",
        "greeting": "Grüezi ☀",
        "prompt": "Be brief.",
        "config": agent.config.digest,
    }


@pytest.mark.parametrize(("score", "accepted"), [(0.69, False), (0.7, True)])
async def test_a_task_is_accepted_from_the_threshold_on(start, score, accepted):
    agent = start(threshold="0.7")

    async with client_of(agent) as client:
        answer = await (await client.post("/task", json={"task": "sum", "score": score})).json()

    assert (answer["task"], answer["accepted"]) == ("sum", accepted)


@pytest.mark.parametrize("body", ["{", "[]", '{"score": "high"}', '{"score": null}'])
async def test_a_task_that_is_none_is_refused_and_counted(start, body):
    async with client_of(start()) as client:
        assert (await client.post("/task", data=body)).status == 400

        assert (await scrape(client))["http_requests_total", "400", "1.2.0"] == 1


async def test_the_configuration_in_use_can_be_seen(start):
    agent = start(greeting="Hello", colour="blue")

    async with client_of(agent) as client:
        shown = await (await client.get("/config")).json()

    assert shown["hash"] == agent.config.digest
    assert shown["values"] == {"greeting": "Hello", "colour": "blue"}
    assert shown["unknown"] == ["colour"]
    assert shown["loadedAt"].endswith("+00:00")


async def test_requests_are_counted_by_code_and_version_and_timed(start):
    agent = start()

    async with client_of(agent) as client:
        await client.get("/")
        await client.get("/")
        await client.get("/stream?seconds=never")
        metrics = await scrape(client)

    assert metrics["http_requests_total", "200", "1.2.0"] == 2
    assert metrics["http_requests_total", "400", "1.2.0"] == 1
    assert metrics["http_requests_total", "500", "1.2.0"] == 0
    assert metrics["http_request_duration_seconds_count", "1.2.0"] == 3


async def test_probes_and_scrapes_are_not_counted_as_work(start):
    async with client_of(start(errorRate="1")) as client:
        codes = [await status(client, path) for path in ("/healthz", "/readyz", "/config")]
        metrics = await scrape(client)

    assert codes == [200, 200, 200]
    assert metrics["http_request_duration_seconds_count", "1.2.0"] == 0


async def test_the_error_rate_is_seen_by_clients_and_in_the_metrics(start):
    async with client_of(start(errorRate="0.5", faultSeed="3")) as client:
        codes = [await status(client, "/") for _ in range(100)]
        metrics = await scrape(client)

    failed = codes.count(500)
    assert 35 <= failed <= 65
    assert metrics["http_requests_total", "500", "1.2.0"] == failed
    assert metrics["http_requests_total", "200", "1.2.0"] == 100 - failed


async def test_a_request_in_flight_is_shown_until_it_is_answered(start, pause):
    async with client_of(start(latencySeconds="2"), sleep=pause) as client:
        request = asyncio.create_task(client.get("/"))
        await pause.begun.wait()
        during = await scrape(client)
        pause.over.set()
        await request
        after = await scrape(client)

    assert pause.asked == [2]
    assert (during["http_requests_in_flight",], after["http_requests_in_flight",]) == (1, 0)


async def test_a_stream_is_one_line_a_second(start, pause):
    pause.over.set()

    async with client_of(start(), sleep=pause) as client:
        answer = await client.get("/stream?seconds=3")
        lines = (await answer.text()).splitlines()

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert len(lines) == 3
    assert pause.asked == [0, 1, 1, 1]


@pytest.mark.parametrize("seconds", ["-1", "1.5", "3601", "²", ""])
async def test_a_stream_of_no_sensible_length_is_refused(start, seconds):
    async with client_of(start()) as client:
        assert (await client.get("/stream", params={"seconds": seconds})).status == 400


async def test_a_failing_probe_answers_500_and_takes_the_readiness_with_it(start):
    async with client_of(start(probe="fail")) as client:
        assert await status(client, "/healthz") == 500
        assert await status(client, "/readyz") == 503


async def test_a_draining_agent_is_healthy_but_not_ready_and_closes_connections(start):
    agent = start()
    agent.draining = True

    async with client_of(agent) as client:
        answer = await client.get("/")

        assert await status(client, "/healthz") == 200
        assert await status(client, "/readyz") == 503
    assert answer.headers["Connection"] == "close"
