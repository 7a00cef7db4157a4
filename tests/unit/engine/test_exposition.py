"""What is read from the text of a pod's metrics is a count or nothing, whatever else it holds."""

from __future__ import annotations

import math
from dataclasses import replace
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agentherd.domain.readings import Buckets, Counters, Totals
from agentherd.engine.exposition import BOUNDS_LIMIT, SERIES_LIMIT, mean, total, totals

NAME = "http_requests_total"
LATENCY = "http_request_duration_seconds"
BODY_LIMIT = 4 * 2**20


def counters(*error_values: str, error_label: str = "code", figures: bool = False) -> Counters:
    return Counters(
        url="",
        requests=NAME,
        in_flight="http_requests_in_flight",
        error_label=error_label,
        error_values=error_values or ("5xx",),
        latency=LATENCY,
        figures=figures,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http_requests_total 3", 3),
        ("http_requests_total 3\r\n", 3),
        ("http_requests_total 3 1700000000000\n", 3),
        ("http_requests_total\t3\n", 3),
        ('http_requests_total{code="200"} 3\nhttp_requests_total{code="500"} 4\n', 7),
        ('http_requests_total{path="/{id}",q="\\"} 9"} 3\n', 3),
        ('http_requests_total {code="200",} 3\n', 3),
        ("http_requests_total{} 1.5e1\n", 15),
        ('http_requests_total{a="b"} 3 # {trace_id="x"} 1.0 1700000000\n', 3),
        ("http_requests_total 3\nhttp_requests_created 1.7e9\n", 3),
        ("http_requests_total 3\nhttp_requests_total_created 1.7e9\n", 3),
        ("# http_requests_total 9\nhttp_requests_total 3\n", 3),
        ("# TYPE http_requests_total counter\n", 0),
        ("# TYPE http_requests counter\n# EOF\n", 0),
        ("# TYPE http_requests_total_size counter\n", None),
        ("", None),
        ("my_http_requests_total 3\n", None),
        ("http_requests_total", None),
        ("http_requests_total \n", None),
        ("http_requests_total NaN\n", None),
        ("http_requests_total +Inf\n", None),
        ("http_requests_total -1\n", None),
        ("http_requests_total 5\nhttp_requests_total -1\n", None),
        ("http_requests_total 1e300\n", None),
        (f"http_requests_total {'9' * 10_000}\n", None),
        ("http_requests_total three\n", None),
        ('http_requests_total{code="200} 3\n', None),
        ('http_requests_total{code="200"\n} 3\n', None),
        ("<html>http_requests_total 3</html>", None),
        ("\x00\ufffd\x7f" * 100, None),
    ],
)
def test_the_samples_of_a_metric_are_added_up(text: str, expected: float | None) -> None:
    """What cannot be a count is not one, whatever else there is."""
    assert total(text, NAME) == expected


def test_a_metric_of_too_many_series_is_not_read() -> None:
    lines = [f'{NAME}{{n="{n}"}} 1\n' for n in range(SERIES_LIMIT + 1)]

    assert total("".join(lines[1:]), NAME) == SERIES_LIMIT
    assert total("".join(lines), NAME) is None


def test_counts_whose_sum_is_none_are_not_read() -> None:
    """Each of them can be one, but the status has no room for what they are together."""
    lines = [f'{NAME}{{n="{n}"}} {2**53 - 1}\n' for n in range(2)]

    assert total(lines[0], NAME) == 2**53 - 1
    assert totals("".join(lines), counters()) is None


def of_a_library(path: str, count: int, code: int = 200) -> str:
    """What the exposition of a web framework says of a path."""
    labels = f'{{method="GET",handler="{path}",code="{code}"}}'
    return f"{NAME}{labels} {count}\n{LATENCY}_count{labels} {count}\n{LATENCY}_sum{labels} 2\n"


def test_requests_of_probes_are_nobodys() -> None:
    """Those for the metrics and for the health come once a second, and say nothing of users."""
    probed = replace(counters(), probed=("/healthz", "/metrics", '/a"b\\'))
    text = "".join(
        (
            of_a_library("/answer", 3),
            of_a_library("/answer", 1, code=500),
            of_a_library("/healthz", 90, code=503),
            of_a_library("/metrics", 90),
            of_a_library("/metrics/of/users", 2),
            of_a_library(r"/a\"b\\", 90),
        )
    )

    assert totals(text, probed) == Totals(requests=6, errors=1, timed=6, microseconds=6_000_000)
    assert totals(of_a_library("/metrics", 9), probed) == Totals(
        requests=0, errors=0, timed=0, microseconds=0
    )


labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(labels, st.integers(0, 10**9), max_size=8), st.integers(0, 1000))
def test_what_the_library_of_prometheus_writes_is_read(
    calls: dict[str, int], in_flight: int
) -> None:
    """Whatever is in a label; the times of creation that it writes as well are not counted."""
    registry = CollectorRegistry()
    counter = Counter("http_requests", "Requests", ["path"], registry=registry)
    gauge = Gauge("http_requests_in_flight", "Now", registry=registry)
    for path, count in calls.items():
        counter.labels(path=path).inc(count)
    gauge.set(in_flight)

    text = generate_latest(registry).decode()

    assert total(text, NAME) == sum(calls.values())
    assert total(text, "http_requests_in_flight") == in_flight


@given(st.text(alphabet='{}"\\=, \n\t1aN#-', max_size=60))
def test_garbage_behind_a_name_is_a_count_or_nothing(garbage: str) -> None:
    found = total(NAME + garbage, NAME)

    assert found is None or 0 <= found < math.inf


@pytest.mark.parametrize(
    "text",
    [
        NAME + "{" + 'a="b",' * (BODY_LIMIT // 6),
        NAME + '{a="' + "\\" * BODY_LIMIT,
        NAME + '{a="' + "b" * BODY_LIMIT,
        NAME + "{" + '"' * BODY_LIMIT,
        NAME + " " * BODY_LIMIT,
        NAME + " " + "9" * BODY_LIMIT,
        (NAME + "{\n") * (BODY_LIMIT // 24),
        (NAME + "_x 1\n") * (BODY_LIMIT // 24),
        "\n" * BODY_LIMIT,
    ],
    ids=["labels", "escapes", "open", "quotes", "spaces", "digits", "lines", "others", "empty"],
)
def test_a_hostile_text_does_not_stop_the_process(text: str) -> None:
    """Time in proportion to its length; ten times what a slow machine needs is allowed."""
    started = perf_counter()

    total(text, NAME)
    mean(text, NAME)
    totals(text, counters())
    totals(text.replace(NAME, f"{LATENCY}_bucket"), counters(figures=True))

    assert perf_counter() - started < 2


# The counters of a pod


def series(**counts: float) -> str:
    """Requests by the value of the label `code`."""
    return "".join(f'{NAME}{{version="1",code="{code[1:]}"}} {n}\n' for code, n in counts.items())


def errors(text: str, *error_values: str) -> int | None:
    found = totals(text, counters(*error_values))
    assert found is not None
    return found.errors


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (series(_200=7, _500=2, _503=1), ["5xx"], 3),
        (series(_200=7, _500=2, _503=1), ["503"], 1),
        (series(_200=7, _404=2, _503=1), ["5xx", "404"], 3),
        (series(_200=7), ["5xx"], 0),
        (series(_5000=7, _50=1, _150=1), ["5xx"], 0),
        (series(_OK=7, _Internal=1, _internal=5), ["Internal"], 1),
        (series(_5x5=1, _5y5=1), ["5.5"], 0),
        (series(_OK=7, _DeadlineExceeded=2), ["DeadlineExceeded"], 2),
        (f'{NAME}{{ code = "500" }} 3\n', ["5xx"], 3),
        (f'{NAME}{{path="/code=\\"500\\"",code="200"}} 3\n', ["5xx"], 0),
        (f'{NAME}{{zipcode="500",code="200"}} 3\n', ["5xx"], 0),
        (f"{NAME} 0\n", ["5xx"], 0),
        (f"# TYPE {NAME} counter\n", ["5xx"], 0),
        (f"{NAME} 3\n", ["5xx"], None),
        (f'{NAME}{{status="500"}} 3\n', ["5xx"], None),
    ],
)
def test_requests_with_the_value_of_an_error_are_errors(
    text: str, values: list[str], expected: int | None
) -> None:
    """Where no series tells how requests ended, nobody knows how many of them failed."""
    assert errors(text, *values) == expected


def test_requests_and_their_durations_are_added_up_over_all_series() -> None:
    text = series(_200=7, _500=2)
    text += f'{LATENCY}_bucket{{le="1"}} 9\n{LATENCY}_bucket{{le="+Inf"}} 9\n'
    text += f'{LATENCY}_sum{{path="/a"}} 0.25\n{LATENCY}_count{{path="/a"}} 5\n'
    text += f'{LATENCY}_sum{{path="/b"}} 1.5\n{LATENCY}_count{{path="/b"}} 4\n'

    assert totals(text, counters()) == Totals(requests=9, errors=2, timed=9, microseconds=1_750_000)


@pytest.mark.parametrize(
    "durations",
    [
        "",
        f"{LATENCY}_sum 1\n",
        f"{LATENCY}_count 1\n",
        f"{LATENCY}_sum NaN\n{LATENCY}_count 1\n",
        f"{LATENCY}_sum -1\n{LATENCY}_count 1\n",
        f"{LATENCY}_sum 1e12\n{LATENCY}_count 1\n",
        f"{LATENCY}_sum 1\n{LATENCY}_count 1e300\n",
    ],
)
def test_durations_that_cannot_be_are_not_read(durations: str) -> None:
    """The requests are nevertheless."""
    found = totals(series(_200=7) + durations, counters())

    assert found == Totals(requests=7, errors=0)


def test_durations_of_nothing_yet_are_known() -> None:
    """Those of a histogram with labels before the first request."""
    text = f"# TYPE {NAME} counter\n# TYPE {LATENCY} histogram\n"

    assert totals(text, counters()) == Totals(requests=0, errors=0, timed=0, microseconds=0)


@pytest.mark.parametrize("requests", ["NaN", "-1", "1e300", "three", ""])
def test_without_a_count_of_requests_nothing_is_told(requests: str) -> None:
    assert totals(f'{NAME}{{code="500"}} {requests}\n{LATENCY}_sum 1\n', counters()) is None


@given(st.dictionaries(st.integers(100, 599), st.floats(0, 100), max_size=8))
def test_what_the_library_of_prometheus_writes_tells_errors_and_durations(
    requests: dict[int, float],
) -> None:
    registry = CollectorRegistry()
    counter = Counter("http_requests", "Requests", ["code"], registry=registry)
    histogram = Histogram(LATENCY, "Durations", ["code"], registry=registry)
    for code, seconds in requests.items():
        counter.labels(code=code).inc()
        histogram.labels(code=code).observe(seconds)

    found = totals(generate_latest(registry).decode(), counters())

    assert found is not None
    assert found.microseconds is not None
    assert found.requests == found.timed == len(requests)
    assert found.errors == sum(code >= 500 for code in requests)
    assert math.isclose(found.microseconds, sum(requests.values()) * 1e6, abs_tol=1)


# The buckets of a histogram


def histogram(*series: dict[str, object], labels: str = "") -> str:
    """Durations by bound, for each series; as many requests, with a label, as there are in all."""
    lines = [f'{NAME}{{code="200"}} {sum(int(str(each["+Inf"])) for each in series)}\n']
    for n, buckets in enumerate(series):
        own = f'path="/{n}"{labels}'
        lines += [f'{LATENCY}_bucket{{{own},le="{le}"}} {n}\n' for le, n in buckets.items()]
        lines.append(f"{LATENCY}_sum{{{own}}} 1\n{LATENCY}_count{{{own}}} {buckets['+Inf']}\n")
    return "".join(lines)


def buckets(text: str) -> Buckets:
    found = totals(text, counters(figures=True))
    assert found is not None
    return found.buckets


def test_buckets_are_added_up_over_all_series() -> None:
    text = histogram({"0.1": 3, "1.0": 7, "+Inf": 9}, {"0.1": 0, "1": 1, "+Inf": 1})

    assert buckets(text) == ((0.1, 3), (1.0, 8), (math.inf, 10))


def test_buckets_are_not_read_where_nobody_asks_for_figures() -> None:
    found = totals(histogram({"0.1": 3, "+Inf": 9}), counters())

    assert found is not None
    assert found.buckets == ()


def test_series_with_other_buckets_are_put_together_at_the_bounds_they_share() -> None:
    """How many of the second took at most 0.5 s is known to nobody."""
    text = histogram({"0.1": 3, "0.5": 5, "1": 7, "+Inf": 9}, {"0.1": 2, "1": 3, "+Inf": 4})

    assert buckets(text) == ((0.1, 5), (1.0, 10), (math.inf, 13))


def test_buckets_of_probes_are_nobodys() -> None:
    text = histogram({"0.1": 3, "+Inf": 9}, {"0.1": 90, "+Inf": 90})
    found = totals(text, replace(counters(figures=True), probed=("/1",)))

    assert found is not None
    assert (found.timed, found.buckets) == (9, ((0.1, 3), (math.inf, 9)))


def test_a_summary_has_no_buckets() -> None:
    text = f'{NAME} 9\n{LATENCY}{{quantile="0.5"}} 0.1\n{LATENCY}_sum 1\n{LATENCY}_count 9\n'

    assert buckets(text) == ()


@pytest.mark.parametrize(
    "series",
    [
        {"0.1": "NaN", "+Inf": 9},
        {"0.1": "-1", "+Inf": 9},
        {"0.1": "1e300", "+Inf": 9},
        {"0.1": "some", "+Inf": 9},
        {"NaN": 3, "+Inf": 9},
        {"short": 3, "+Inf": 9},
        {"": 3, "+Inf": 9},
        {"-1": 3, "+Inf": 9},
        {"-Inf": 3, "+Inf": 9},
        {"1e308": 3, "+Inf": 9},
        {**{str(n): 1 for n in range(BOUNDS_LIMIT)}, "+Inf": 9},
    ],
    ids=[
        "NaN",
        "negative",
        "too many",
        "no number",
        "bound NaN",
        "no bound",
        "empty",
        "negative bound",
        "bound without end",
        "bound of ages",
        "too large",
    ],
)
def test_buckets_that_cannot_be_are_not_read(series: dict[str, object]) -> None:
    """The mean is nevertheless."""
    found = totals(histogram(series), counters(figures=True))

    assert found == Totals(requests=9, errors=0, timed=9, microseconds=1_000_000)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 20)), max_size=20))
def test_the_buckets_the_library_of_prometheus_writes_count_what_was_observed(
    observed: list[tuple[str, float]],
) -> None:
    registry = CollectorRegistry()
    counter = Counter("http_requests", "Requests", ["code"], registry=registry)
    durations = Histogram(LATENCY, "Durations", ["path"], registry=registry)
    for path, seconds in observed:
        counter.labels(code="200").inc()
        durations.labels(path=path).observe(seconds)

    found = buckets(generate_latest(registry).decode())

    assert bool(found) == bool(observed)
    for bound, count in found:
        assert count == sum(seconds <= bound for _, seconds in observed)


# The value of a gauge


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model_accuracy 0.91\n", 0.91),
        ('model_accuracy{set="a"} 0.9\nmodel_accuracy{set="b"} 0.8\n', 0.85),
        ("model_accuracy -0.5\n", -0.5),
        ("model_accuracy 0\n", 0),
        ("# TYPE model_accuracy gauge\n", None),
        ("", None),
        ("model_accuracy NaN\n", None),
        ("model_accuracy +Inf\n", None),
        ("model_accuracy 1e300\n", None),
        ("model_accuracy good\n", None),
        ('model_accuracy{set="a"} 0.9\nmodel_accuracy{set="b"} NaN\n', None),
    ],
)
def test_a_gauge_is_the_mean_of_its_series(text: str, expected: float | None) -> None:
    """Where it is declared and has no value it is not 0: nobody knows it."""
    assert mean(text, "model_accuracy") == (None if expected is None else pytest.approx(expected))
