"""What was seen of models, summed up as in `figures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from tests.load.report import Report
from tests.long.figures import Outcome, percentiles
from tests.long.losses import losses
from tests.long.pairs import GOAL, Difference, Pair, difference
from tests.long.swaps import PROMOTED
from tests.long.weights import TRIED, Patch

REQUEST_GOAL: Final = 0.25
"""Seconds from the patch of a weight to the first request at it, of the 99th percentile."""


def of_swaps(name: str, found: Mapping[str, Any], *, requests: int) -> Outcome:
    """Swaps under load: nothing lost, each ended as it was to, and requests all the while."""
    courses, sent = found["courses"], found["requests"]["sent"]
    right = bool(courses) and all(course["right"] for course in courses)
    loaded = bool(courses) and found["sent until"] >= courses[-1]["at"] + courses[-1]["over"]
    swaps = [course for course in courses if course["outcome"] == PROMOTED]
    back = [course for course in courses if course["outcome"] != PROMOTED]
    durations = {
        "swaps": _spread(swaps, "over"),
        "swaps without a kill": _spread(_alive(swaps), "over"),
        "rollbacks, since decided": _spread(back, "over since decided"),
        "rollbacks, last request since decided": _spread(back, "last request"),
    }
    line = (
        f"{found['lost']} of {sent} requests lost in {len(swaps)} swaps and {len(back)} rollbacks, "
        f"the operator killed in {sum(course['operator killed'] for course in courses)}; "
        f"a swap without that took {_seconds(durations['swaps without a kill'])}"
    )
    wrong = [course["to"] for course in courses if not course["right"]]
    if wrong:
        line += f"; not as they were to go: {', '.join(wrong)}"
    if not loaded:
        line += "; the load was over before the last one was"
    kept = right and loaded and found["lost"] == 0 and sent >= requests
    return Outcome(name=name, line=line, kept=kept, figures={"durations": durations, **found})


def of_weights(name: str, done: Sequence[Patch], report: Report) -> Outcome:
    """Changes of a weight: nothing lost. How fast they are is a goal of a quiet machine."""
    lost = losses(report, since=report.answers[0].at, tried="") if report.answers else {"lost": 0}
    ways = {
        way: [patch for patch in done if bool(patch.weight) is up]
        for way, up in (("up", True), ("down", False))
    }
    spread = {
        way: {
            key: percentiles([getattr(patch, key) for patch in patches])
            for key in ("write", "request", "told")
        }
        for way, patches in ways.items()
    }
    reached = bool(ways["up"]) and spread["up"]["request"]["p99"] < REQUEST_GOAL
    line = f"{len(ways['up'])} changes from 0 to 20 percent"
    if ways["up"]:
        line += ", p50/p99 in ms: " + ", ".join(
            f"{key} {1000 * found['p50']:.0f}/{1000 * found['p99']:.0f}"
            for key, found in spread["up"].items()
        )
    line += f"; {lost['lost']} of {report.sent} requests lost"
    figures = {
        "goal": {"request, p99": REQUEST_GOAL, "reached": reached},
        "all": spread,
        "sent": report.sent,
        "sent to the canary": sum(answer.version == TRIED for answer in report.answers),
        "losses": lost,
        "patches": [asdict(patch) for patch in done],
    }
    return Outcome(name=name, line=line, kept=bool(done) and lost["lost"] == 0, figures=figures)


def of_pairs(name: str, done: Sequence[Pair]) -> Outcome:
    """Latency with and without a swap: nothing lost. What may be claimed is told, not demanded."""
    if not done:
        return Outcome(name=name, line="no round", kept=False, figures={"pairs": []})
    failed = sum(each.failed for pair in done for each in (pair.quiet, pair.swap))
    sent = sum(each.sent for pair in done for each in (pair.quiet, pair.swap))
    found = {
        "mean": difference([pair.mean for pair in done]),
        "p95": difference([pair.p95 for pair in done]),
    }
    told = "; ".join(f"{key} {_percent(each)}" for key, each in found.items())
    line = f"{len(done)} rounds, {told}; {failed} of {sent} requests failed"
    figures = {
        "goal": GOAL,
        "sent": sent,
        "failed": failed,
        **{
            key: {**asdict(each), "noise": each.noise, "claim": each.claim}
            for key, each in found.items()
        },
        "pairs": [{"mean": pair.mean, "p95": pair.p95, **asdict(pair)} for pair in done],
    }
    return Outcome(name=name, line=line, kept=failed == 0, figures=figures)


def _alive(courses: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [course for course in courses if not course["operator killed"]]


def _spread(courses: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    return percentiles([course[key] for course in courses if course[key] is not None])


def _seconds(spread: Mapping[str, float]) -> str:
    return f"{spread['p50']:.1f} s, at most {spread['max']:.1f} s" if spread else "no time"


def _percent(found: Difference) -> str:
    return (
        f"{found.mean:+.2f} % ({found.low:+.2f} to {found.high:+.2f}), to be claimed: {found.claim}"
    )
