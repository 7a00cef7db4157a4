"""What a line of the generator tells."""

import json
from collections.abc import Callable

import pytest
from tests.load.answer import GATEWAY, NOBODY, Failure, Source, read

Line = Callable[..., bytes]
WHO = {"agent": "hello", "version": "1.2.0", "revision": "5d4f", "pod": "hello-5d4f-x2x4q"}


def streamed(*, lines: int, of: int) -> str:
    return "".join(json.dumps({"line": n, "of": of, **WHO}) + "\n" for n in range(1, lines + 1))


def test_an_answer_says_who_gave_it_and_when_it_was_sent(line: Line) -> None:
    answer = read(line(body=json.dumps(WHO), number=7))

    assert (answer.version, answer.revision, answer.pod) == ("1.2.0", "5d4f", "hello-5d4f-x2x4q")
    assert (answer.number, answer.code, answer.failure) == (7, 200, None)
    assert answer.at == pytest.approx(1_800_000_000.123456)
    assert answer.ended - answer.at == pytest.approx(0.0015, abs=1e-6)


@pytest.mark.parametrize("source", list(Source))
def test_answers_are_told_apart_by_version_revision_or_pod(line: Line, source: Source) -> None:
    assert read(line(body=json.dumps(WHO))).by(source) == WHO[source]


@pytest.mark.parametrize("body", ["", "Bad Gateway", "[]", "404 page not found\n", '{"error": 1}'])
def test_an_answer_without_a_pod_is_the_gateways(line: Line, body: str) -> None:
    answer = read(line(body=body, code=502, error="502 Bad Gateway"))

    assert answer.by(Source.VERSION) == GATEWAY
    assert answer.failure is Failure.ERROR


def test_an_agents_own_error_is_counted_for_its_version(line: Line) -> None:
    answer = read(line(body=json.dumps({**WHO, "error": "errorRate"}), code=500, error="500"))

    assert (answer.by(Source.VERSION), answer.failure) == ("1.2.0", Failure.ERROR)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ('Get "http://x/": dial tcp 127.0.0.1:1: connect: connection refused', Failure.REFUSED),
        ('Get "http://x/": dial tcp 10.90.0.9:80: connect: no route to host', Failure.UNREACHABLE),
        ('Get "http://x/": read tcp a->b: read: connection reset by peer', Failure.RESET),
        ('Get "http://x/": write tcp a->b: write: broken pipe', Failure.RESET),
        ('Get "http://x/": EOF', Failure.CLOSED),
        ('Get "http://x/": http: server closed idle connection', Failure.CLOSED),
        ("unexpected EOF", Failure.CUT),
        (
            'Get "http://x/": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
            Failure.TIMEOUT,
        ),
        ('Get "http://x/": dial tcp 127.0.0.1:1: i/o timeout', Failure.TIMEOUT),
        ("something new", Failure.OTHER),
    ],
)
def test_a_request_without_an_answer_says_why(line: Line, error: str, failure: Failure) -> None:
    answer = read(line(code=0, error=error))

    assert (answer.failure, answer.text) == (failure, error)
    assert answer.by(Source.VERSION) == NOBODY


def test_a_refusal_is_a_failure(line: Line) -> None:
    assert read(line(code=404, error="404 Not Found")).failure is Failure.REJECTED


def test_a_whole_stream_is_no_failure(line: Line) -> None:
    answer = read(line(body=streamed(lines=60, of=60)))

    assert (answer.lines, answer.of, answer.failure) == (60, 60, None)


@pytest.mark.parametrize(
    ("code", "error"),
    [(0, "unexpected EOF"), (0, "read tcp a->b: read: connection reset by peer"), (200, "")],
)
def test_a_stream_that_breaks_off_is_cut_however_it_ends(line: Line, code: int, error: str) -> None:
    """The version is known all the same, from the lines that came."""
    answer = read(line(body=streamed(lines=3, of=60), code=code, error=error))

    assert (answer.lines, answer.of, answer.failure) == (3, 60, Failure.CUT)
    assert answer.by(Source.VERSION) == "1.2.0"


def test_a_stream_that_takes_too_long_is_late_and_not_cut(line: Line) -> None:
    error = "context deadline exceeded (Client.Timeout or context cancellation while reading body)"

    answer = read(line(body=streamed(lines=3, of=60), code=0, error=error))

    assert answer.failure is Failure.TIMEOUT
