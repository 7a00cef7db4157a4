"""How a new version is judged while it serves: what is compared, what else is asked, who says so.

Nothing here needs to be set, or to be installed: as soon as an Agent says where its metrics are,
the errors and the latency of the new version are compared with those of the stable one. What
people add are limits of their own, from wherever they measure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, StringConstraints

from agentherd.api.enums import OnInconclusive, Verdict
from agentherd.api.markers import (
    ATOMIC,
    DNS_LABEL,
    RULES,
    Clip,
    Count,
    Int32,
    Int64,
    Keywords,
    Rule,
    Time,
    is_empty,
    list_map,
)
from agentherd.api.meta import WireModel

MAX_METRICS: Final = 10
MAX_MEASUREMENTS: Final = 10
MAX_LOOKS: Final = 60
MAX_COUNTED_PODS: Final = 200
MAX_BETS: Final = 16
MAX_FEEDBACK: Final = 50

_URL: Final = r"^https?://[^\s/@]+(/\S*)?$"

Fraction = Annotated[float, Field(ge=0, le=1)]
Thousandths = Annotated[Int32, Field(ge=0, le=1000)]


class Baseline(StrEnum):
    """Which pods of the stable version a new one is compared with."""

    STABLE = "Stable"
    FRESH = "Fresh"


class PrometheusQuery(WireModel):
    """A query to a Prometheus, or whatever else answers to its HTTP API."""

    address: Annotated[str, StringConstraints(min_length=8, max_length=512, pattern=_URL)]
    """Its URL, for example `http://prometheus.monitoring:9090`. Required."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """PromQL that yields one number, with the words of `http.url` replaced. Required."""


class HTTPRequest(WireModel):
    """A URL that answers with JSON, in which one number is looked up."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=1024, pattern=_URL)]
    """URL that the operator asks with GET. `$(NAMESPACE)`, `$(AGENT)`, `$(UPGRADE)`,
    `$(CANARY_REVISION)`, `$(STABLE_REVISION)` and `$(CANARY_SERVICE)`, the Service of the new
    version, are replaced. Required."""

    pointer: Annotated[str, StringConstraints(max_length=512, pattern="^(/.*)?$")] = ""
    """Where the number is in the answer: a JSON Pointer such as `/quality/score`. Absent or empty:
    the answer is the number."""


class TesterJob(WireModel):
    """A Job that tries the new version and says by its end whether it is good."""

    template: Annotated[dict[str, Any], Keywords({"x-kubernetes-preserve-unknown-fields": True})]
    """Pod template, as in a Job. Its first container also gets the words of `http.url` as
    variables: `AGENTHERD_CANARY_SERVICE` and so on. Required."""

    timeout_seconds: Annotated[Int32, Field(ge=1, le=86400)] = 600
    """Seconds after which a Job that runs has failed. Defaults to 600."""


class Metric(WireModel):
    """One more thing the new version is judged by."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                Rule(
                    "(has(self.prometheus) ? 1 : 0) + (has(self.http) ? 1 : 0)"
                    " + (has(self.job) ? 1 : 0) == 1",
                    "must have exactly one source: prometheus, http or job",
                ).keywords(),
                Rule(
                    "has(self.job) != (has(self.minimum) || has(self.maximum))",
                    "must have a minimum or a maximum, unless a job is the source",
                ).keywords(),
                Rule(
                    "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
                    "must not be above maximum",
                    field=".minimum",
                ).keywords(),
            ]
        }
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_LABEL)]
    """Name of the metric, unique in the list. Required."""

    prometheus: PrometheusQuery | None = None
    """Ask a Prometheus. Absent: not asked."""

    http: HTTPRequest | None = None
    """Ask a URL that answers with JSON. Absent: not asked."""

    job: TesterJob | None = None
    """Run a Job once in each attempt, when a pod of the new version is ready, which has to succeed
    before the promotion. Absent: none is run."""

    minimum: float | None = None
    """Smallest number that is good. Absent: none is too small."""

    maximum: float | None = None
    """Largest number that is good. Absent: none is too large."""

    interval_seconds: Annotated[Int32, Field(ge=1, le=3600)] = 10
    """Seconds from one measurement to the next. Defaults to 10."""

    failure_limit: Annotated[Int32, Field(ge=1, le=100)] = 3
    """Number of bad measurements in a row that roll the upgrade back. Defaults to 3."""

    dry_run: bool = False
    """Whether to measure and tell without consequences. Absent or `false`: the metric counts."""


class Analysis(WireModel):
    """How a new version is judged while it serves."""

    interval_seconds: Annotated[Int32, Field(ge=1, le=300)] = 2
    """Seconds from one look at the metrics of the pods to the next. Defaults to 2."""

    warm_up_seconds: Annotated[Int32, Field(ge=0, le=3600)] = 5
    """Seconds for which the requests of a new pod are not counted, as its caches are cold. Defaults
    to 5."""

    minimum_requests: Annotated[Int32, Field(ge=0, le=1_000_000)] = 20
    """Requests that the new version must answer at each step that gives it any, before the next
    one. Defaults to 20."""

    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    """What to do at the end of a step when too little was seen: `Hold` waits for more, or for a
    person, `Proceed` goes on. Defaults to `Hold`."""

    baseline: Baseline = Baseline.STABLE
    """What the new version is compared with: all pods of the stable one (`Stable`), or as many new
    pods of that beside them (`Fresh`). Defaults to `Stable`."""

    error_margin: Annotated[float, Field(ge=1, le=100)] = 2
    """How many times the error rate of the stable version that of the new one may be. Defaults to
    2."""

    performance_impact: Annotated[float, Field(ge=0, le=100)] = 0.2
    """By which part of the mean latency of the stable version the new one may be slower; less than
    a millisecond never counts. Defaults to 0.2."""

    feedback_weight: Fraction = 0.3
    """Part of the rollback score that feedback makes up; the rest is what was measured. Defaults to
    0.3."""

    rollback_threshold: Fraction = 0.7
    """Rollback score from which on the upgrade is rolled back. Defaults to 0.7."""

    dry_run: bool = False
    """Whether errors and latency are compared without consequences. Absent or `false`: a version
    that is worse is rolled back."""

    metrics: Annotated[tuple[Metric, ...], Field(max_length=MAX_METRICS), list_map("name")] = Field(
        default_factory=tuple
    )
    """What else the new version is judged by, at most 10. Absent: errors and latency alone."""


class Feedback(WireModel):
    """What a person or an agent thinks of the new version."""

    from_: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(alias="from")
    """Who says so: a name, unique in the list. Required."""

    rating: Annotated[Int32, Field(ge=1, le=5)]
    """How good the new version is, from 1, the worst, to 5, the best. Required."""

    comment: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Why, in your own words. Absent: the rating speaks for itself."""


class PodCounters(WireModel):
    """How far the counters of a pod have been taken into account."""

    uid: Annotated[str, Clip(64)]
    """UID of the pod they are of."""

    warms_since: Time | None = None
    """Time from which it warms up; nothing of it counts yet. Absent: it is warm."""

    requests: Annotated[Int64, Field(ge=0)] = 0
    """Requests that it had answered."""

    errors: Annotated[Int64, Field(ge=0)] | None = None
    """How many of them with an error. Absent: it has not told."""

    timed: Annotated[Int64, Field(ge=0)] | None = None
    """Requests whose duration it had told. Absent: it has told of none."""

    microseconds: Annotated[Int64, Field(ge=0)] | None = None
    """Sum of these durations, in microseconds. Absent: it has told of none."""


class Side(WireModel):
    """What was counted of one version since the comparison began."""

    requests: Annotated[Int64, Field(ge=0)] = 0
    """Requests that were answered."""

    errors: Annotated[Int64, Field(ge=0)] = 0
    """How many of them with an error."""

    timed: Annotated[Int64, Field(ge=0)] = 0
    """Requests whose duration is known."""

    microseconds: Annotated[Int64, Field(ge=0)] = 0
    """Sum of these durations."""


class Timed(WireModel):
    """Requests whose durations wait for more of them to be compared."""

    requests: Annotated[Int64, Field(ge=0)] = 0
    """How many of them there are."""

    microseconds: Annotated[Int64, Field(ge=0)] = 0
    """Sum of their durations."""


class Evidence(WireModel):
    """The state of the two sequential tests.

    Each is a number of bets against the new version. What they are worth is kept in millionths of
    natural logarithms: first what is saved for later, then the purse of each bet.
    """

    errors: Annotated[
        tuple[Int64, ...], Field(max_length=MAX_BETS, exclude_if=is_empty), ATOMIC
    ] = ()
    """Bets that it fails more often. Empty: nothing was compared yet."""

    latency: Annotated[
        tuple[Int64, ...], Field(max_length=MAX_BETS, exclude_if=is_empty), ATOMIC
    ] = ()
    """Bets that it is slower. Empty: nothing was compared yet."""

    canary: Timed = Field(default_factory=Timed)
    """What the new version has timed since latencies were last compared."""

    stable: Timed = Field(default_factory=Timed)
    """What the stable version has timed since latencies were last compared."""


class Score(WireModel):
    """The rollback score, in thousandths."""

    feedback: Thousandths = 0
    """How bad the feedback is: 0 for the best rating on average, 1000 for the worst."""

    system: Thousandths = 0
    """How bad what was measured is: 1000 when a test has failed."""

    total: Thousandths = 0
    """Both by their weights."""


class Look(WireModel):
    """What was seen between two looks, for a chart."""

    at: Time
    """Time of the second look."""

    weight: Annotated[Int32, Field(ge=0, le=100)]
    """Percentage of the requests that the new version was given."""

    canary: Side
    """What the new version did meanwhile."""

    stable: Side
    """What the stable version did meanwhile."""


class Measurement(WireModel):
    """One measurement of a metric."""

    at: Time
    """Time of the measurement."""

    verdict: Verdict
    """Whether the number is good. `Inconclusive`: there was none."""

    value: float | None = None
    """The number. Absent: there was none."""

    message: Annotated[str, Clip(256)] = ""
    """Why there was no number, or what is wrong with it. May be empty."""


class MetricStatus(WireModel):
    """How a metric does."""

    name: Annotated[str, Clip(63)]
    """Name of the metric, as in the spec."""

    verdict: Verdict
    """`Fail` once the failure limit is reached, and from then on."""

    failures: Count = 0
    """Bad measurements in a row, up to the latest."""

    measurements: Annotated[
        tuple[Measurement, ...], Field(max_length=MAX_MEASUREMENTS, exclude_if=is_empty), ATOMIC
    ] = ()
    """Latest measurements, the newest last, at most 10."""


class AnalysisStatus(WireModel):
    """What the new version is judged by, and how."""

    verdict: Verdict
    """`Pass`: enough was seen, and nothing bad. `Fail`: the new version is worse. `Inconclusive`:
    too little was seen."""

    message: Annotated[str, Clip(512)] = ""
    """In one sentence what was compared, how much was seen and how sure it is, or what is missing.
    May be empty."""

    since: Time | None = None
    """Time at which the new version was given its first requests in this attempt. Absent: it has
    had none."""

    counters: Annotated[str, Clip(16)] = ""
    """Digest of the `spec.metrics` that `pods` were read by."""

    looked_at: Time | None = None
    """Time of the latest look at the metrics of the pods. Absent: there was none."""

    step_requests: Annotated[Int64, Field(ge=0)] = 0
    """Requests the new version has answered at the present step."""

    canary: Side = Field(default_factory=Side)
    """What was counted of the new version in this attempt."""

    stable: Side = Field(default_factory=Side)
    """What was counted of the stable version in this attempt."""

    evidence: Evidence = Field(default_factory=Evidence)
    """State of the comparison."""

    score: Score = Field(default_factory=Score)
    """How bad the feedback and what was measured are, put together."""

    pods: Annotated[
        tuple[PodCounters, ...], Field(max_length=MAX_COUNTED_PODS, exclude_if=is_empty), ATOMIC
    ] = ()
    """Counters of the pods as they were last taken into account, of at most 200 pods."""

    metrics: Annotated[
        tuple[MetricStatus, ...],
        Field(max_length=MAX_METRICS, exclude_if=is_empty),
        list_map("name"),
    ] = ()
    """How the metrics of `spec.analysis` do."""

    looks: Annotated[
        tuple[Look, ...], Field(max_length=MAX_LOOKS, exclude_if=is_empty), ATOMIC
    ] = ()
    """What was seen over the time of the attempt, at most 60 times."""
