"""What the sample model server answers, with a dummy, and what it counts of it."""

import asyncio
import base64
import math
from array import array

import pytest
from prometheus_client.parser import text_string_to_metric_families

US = {
    "agent": "minilm",
    "version": "fp32",
    "revision": "5d4f8c",
    "pod": "minilm-5d4f8c-x2x4q",
}


async def embed(client, body=None):
    answer = await client.post("/v1/embeddings", json=body or {"input": "Grüezi"})
    return answer.status, await answer.json()


async def scrape(client) -> dict[tuple[str, ...], float]:
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }


async def test_an_answer_has_the_shape_of_openai_and_says_who_answers(start, client_of):
    async with client_of(start()) as client:
        code, answer = await embed(client, {"model": "any", "input": ["one", "two words"]})

    vectors = [entry.pop("embedding") for entry in answer["data"]]
    assert code == 200
    assert answer == {
        "object": "list",
        "data": [{"object": "embedding", "index": index} for index in (0, 1)],
        "model": "all-minilm-l6-v2",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        **US,
    }
    assert [len(vector) for vector in vectors] == [8, 8]
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1, 1])


async def test_a_text_has_the_same_vector_alone_and_in_a_list(start, client_of):
    async with client_of(start()) as client:
        _, alone = await embed(client, {"input": "b"})
        _, listed = await embed(client, {"input": ["a", "b"]})

    assert alone["data"][0]["embedding"] == listed["data"][1]["embedding"]
    assert listed["data"][0]["embedding"] != listed["data"][1]["embedding"]


async def test_a_vector_can_be_had_in_base64(start, client_of):
    async with client_of(start()) as client:
        _, numbers = await embed(client, {"input": "a"})
        _, text = await embed(client, {"input": "a", "encoding_format": "base64"})

    decoded = array("f", base64.b64decode(text["data"][0]["embedding"]))
    assert decoded.tolist() == numbers["data"][0]["embedding"]


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/metrics", "/nowhere"])
async def test_every_answer_tells_version_and_pod_in_its_headers(start, client_of, path):
    async with client_of(start()) as client:
        headers = (await client.get(path)).headers

    assert headers["Agentherd-Version"] == US["version"]
    assert headers["Agentherd-Pod"] == US["pod"]


async def test_the_model_is_listed(start, client_of):
    async with client_of(start()) as client:
        listed = await (await client.get("/v1/models")).json()

    assert [model["id"] for model in listed["data"]] == ["all-minilm-l6-v2"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"input": ""}',
        b'{"input": []}',
        b'{"input": [1, 2]}',
        b'{"input": "\\ud800"}',
        b'{"input": "a", "encoding_format": "hex"}',
    ],
)
async def test_what_is_no_request_is_refused_with_a_reason_and_counted(start, client_of, body):
    async with client_of(start()) as client:
        answer = await client.post("/v1/embeddings", data=body)
        metrics = await scrape(client)

        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
    assert metrics["http_requests_total", "400", "fp32"] == 1


async def test_requests_are_counted_by_code_and_version_and_timed(start, client_of):
    async with client_of(start()) as client:
        await embed(client)
        await embed(client)
        await client.get("/v1/models")
        metrics = await scrape(client)

    assert metrics["http_requests_total", "200", "fp32"] == 2
    assert metrics["http_requests_total", "500", "fp32"] == 0
    assert metrics["http_request_duration_seconds_count", "fp32"] == 2
    assert ("http_request_duration_seconds_bucket", "0.001", "fp32") in metrics


async def test_a_model_that_is_loaded_only_now_answers_503(start, client_of):
    async with client_of(start(), load=False) as client:
        code, answer = await embed(client)

        assert (code, answer["version"]) == (503, "fp32")
        assert answer["error"]["message"] == "the model is being loaded"
        assert (await client.get("/healthz")).status == 503


async def test_a_loaded_model_is_healthy(start, client_of):
    async with client_of(start(warmUp="fail")) as client:
        assert (await client.get("/healthz")).status == 200


async def test_the_first_requests_of_a_warm_up_can_fail(start, client_of):
    async with client_of(start(warmUpFailures="2")) as client:
        codes = [(await embed(client))[0] for _ in range(4)]

    assert codes == [503, 503, 200, 200]


async def test_a_warm_up_can_take_its_time(start, client_of, clock):
    async with client_of(start(warmUpSeconds="3")) as client:
        before = await embed(client)
        clock.now += 3
        after = await embed(client)

    assert (before[0], after[0]) == (503, 200)


async def test_a_warm_up_can_fail_for_ever_until_the_settings_change(
    start, client_of, clock, mounted
):
    server = start(warmUp="fail")

    async with client_of(server) as client:
        clock.now += 1e6
        before = await embed(client)
        mounted.swap({"warmUp": "ok"})
        server.tick()
        after = await embed(client)

    assert (before[0], after[0]) == (503, 200)


async def test_the_error_rate_is_seen_by_clients_and_in_the_metrics(start, client_of):
    async with client_of(start(errorRate="0.5", faultSeed="3")) as client:
        codes = [(await embed(client))[0] for _ in range(60)]
        metrics = await scrape(client)

    assert set(codes) == {200, 500}
    assert 15 <= codes.count(500) <= 45
    assert metrics["http_requests_total", "500", "fp32"] == codes.count(500)


async def test_a_slow_request_is_shown_in_flight_until_it_is_answered(start, client_of, pause):
    async with client_of(start(latencySeconds="2"), sleep=pause) as client:
        request = asyncio.create_task(embed(client))
        await pause.begun.wait()
        during = await scrape(client)
        pause.over.set()
        await request
        after = await scrape(client)

    assert pause.asked == [2.0]
    assert (during["http_requests_in_flight",], after["http_requests_in_flight",]) == (1, 0)


async def test_accuracy_is_shown_as_set_and_not_at_all_if_unset(start, client_of, mounted):
    server = start()
    gauges = []

    async with client_of(server) as client:
        for accuracy in ({}, {"accuracy": "0.92"}, {"accuracy": "0.5"}, {"other": "1"}):
            mounted.swap(accuracy)
            server.tick()
            gauges.append((await scrape(client)).get(("model_accuracy",)))

    assert gauges == [None, 0.92, 0.5, None]


def test_memory_is_lost_at_its_rate_from_the_change_on(start, mounted, clock):
    server = start()
    clock.now += 100
    server.tick()
    mounted.swap({"memoryLeakMBPerSecond": "2"})
    server.tick()

    clock.now += 1.5
    server.tick()

    assert server.lost_bytes == 3_000_000


def test_settings_that_are_refused_leave_the_last_good_ones(start, mounted, events):
    server = start(accuracy="0.9")

    mounted.swap({"accuracy": "high"})
    server.tick()

    assert server.settings.accuracy == 0.9
    assert events.data("settings-rejected")["key"] == "accuracy"
