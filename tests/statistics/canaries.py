"""What looks at thousands of simulated canaries see.

All arrays have a row for each look and a column for each canary. Requests come at random (Poisson),
each fails by itself with the chance of its version at that time, and takes a duration drawn for it.
What happens besides, and breaks these assumptions, is said by the fields of a course.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one version did between two looks."""

    requests: Counts
    errors: Counts
    seconds: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the looks saw of both."""

    canary: Side
    stable: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long requests take: a mean of 1, and a shape.

    `exponential`, `gamma` (shape 4: a coefficient of variation of ½), `lognormal` (sigma 1),
    `pareto` (alpha 2.1) or `steady` (5 % around the mean). `waves` is the standard deviation of the
    logarithm of what all requests between two looks to one version have in common, which is
    correlated by `memory` with that of the look before; `drift` is by how many times both versions
    become slower until the end.
    """

    shape: str = "exponential"
    waves: float = 0
    memory: float = 0
    drift: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A canary beside its stable version, and what happens to them.

    There is a look every `interval` seconds. `rate` is in requests a second, of both together;
    `share` the part of the canary, one for all looks or several for equal parts of them. `errors`
    is the part of the requests that fails. From the look `since` on the canary fails `worse` times
    as often, or `failing` more of all, and takes `slower` times as long. `bursts` is the
    coefficient of variation of each version's error rate, which stays as it is for `lasting` looks
    at a time. During the looks of `outage` the given part of the requests to both fails; it is seen
    of the canary earlier by `ahead` of a look. Each of three pods of a version is not read at a
    look with the probability `missing`, and restarted with the probability `restarts`.
    """

    interval: float = 2
    rate: float = 100
    share: float | tuple[float, ...] = 0.1
    looks: int = 300
    errors: float = 0.005
    worse: float = 1
    failing: float = 0
    slower: float = 1
    since: int = 0
    bursts: float = 0
    lasting: int = 1
    outage: tuple[int, int, float] | None = None
    ahead: float = 0
    missing: float = 0
    restarts: float = 0
    durations: Durations | None = field(default_factory=Durations)


def simulated(course: Course, *, canaries: int, seed: int) -> Seen:
    """What the looks at so many canaries see."""
    random = np.random.default_rng(seed)
    shares = course.share if isinstance(course.share, tuple) else (course.share,)
    share = np.repeat(shares, -(-course.looks // len(shares)))[: course.looks]
    bad = np.arange(course.looks) >= course.since
    factor, plus = np.where(bad, course.worse, 1), np.where(bad, course.failing, 0)
    slower = np.where(bad, course.slower, 1)
    mean = course.rate * course.interval
    pods = 3 if course.missing or course.restarts else 1
    ahead = course.ahead
    canary = _version(
        course, random, (pods, course.looks, canaries), mean * share, factor, plus, slower, ahead
    )
    one, none = np.ones(course.looks), np.zeros(course.looks)
    stable = _version(
        course, random, (pods, course.looks, canaries), mean * (1 - share), one, none, one, 0
    )
    return Seen(canary=canary, stable=stable)


def _version(
    course: Course,
    random: np.random.Generator,
    shape: tuple[int, int, int],
    mean: Any,
    factor: Any,
    plus: Any,
    slower: Any,
    ahead: float,
) -> Side:
    pods, looks, canaries = shape
    requests = random.poisson(np.broadcast_to(mean[:, None] / pods, shape))
    chance = np.broadcast_to((course.errors * factor)[:, None], (looks, canaries))
    if course.bursts:
        a = course.bursts**-2
        drawn = random.gamma(a, 1 / a, (-(-looks // course.lasting), canaries))
        chance = chance * np.repeat(drawn, course.lasting, axis=0)[:looks]
    chance = np.minimum(chance + plus[:, None], 1)
    if course.outage:
        first, end, part = course.outage
        at = np.arange(looks)
        within = np.clip(np.minimum(at + 1, end - ahead) - np.maximum(at, first - ahead), 0, 1)
        chance = chance + (1 - chance) * part * within[:, None]
    errors = random.binomial(requests, chance)
    seconds = _seconds(course.durations, random, requests) * slower[:, None]
    parts = [requests.astype(float), errors.astype(float), seconds]
    if course.restarts:
        parts = _restarted(parts, random, course.restarts)
    if course.missing:
        parts = _missed(parts, random, course.missing)
    return Side(
        requests=parts[0].sum(axis=0), errors=parts[1].sum(axis=0), seconds=parts[2].sum(axis=0)
    )


def _seconds(how: Durations | None, random: np.random.Generator, requests: Any) -> Any:
    """The sum of as many durations as there are requests."""
    if how is None:
        return np.zeros(requests.shape)
    total = _sums(how.shape, random, requests)
    looks = requests.shape[-2]
    if how.waves:
        wave = random.normal(size=requests.shape[1:])
        for at in range(1, looks):
            wave[at] = how.memory * wave[at - 1] + np.sqrt(1 - how.memory**2) * wave[at]
        total = total * np.exp(how.waves * wave)
    return total * np.linspace(1, how.drift, looks)[:, None]


def _sums(shape: str, random: np.random.Generator, requests: Any) -> Any:
    if shape in ("exponential", "gamma"):
        each = 1 if shape == "exponential" else 4
        return random.gamma(np.maximum(requests, 1e-9) * each) / each * (requests > 0)
    if shape == "steady":
        noise = 0.05 * random.normal(size=requests.shape)
        return np.maximum(requests + noise * np.sqrt(requests), 0)
    flat = requests.ravel()
    count = int(flat.sum())
    drawn = {
        "lognormal": lambda: np.exp(random.normal(-0.5, 1, count)),
        "pareto": lambda: (random.pareto(2.1, count) + 1) * 1.1 / 2.1,
    }[shape]()
    ends = np.concatenate([[0], np.cumsum(flat)])
    sums = np.concatenate([[0.0], np.cumsum(drawn)])
    return (sums[ends[1:]] - sums[ends[:-1]]).reshape(requests.shape)


def _restarted(parts: list[Any], random: np.random.Generator, chance: float) -> list[Any]:
    """What was counted before a restart, a random part of the look, is lost."""
    kept = np.where(random.random(parts[0].shape) < chance, random.random(parts[0].shape), 1)
    requests = random.binomial(parts[0].astype(int), kept)
    return [
        requests.astype(float),
        random.binomial(parts[1].astype(int), kept).astype(float),
        parts[2] * requests / np.maximum(parts[0], 1),
    ]


def _missed(parts: list[Any], random: np.random.Generator, chance: float) -> list[Any]:
    """What a pod that could not be read has counted is seen at the next look that reads it."""
    missed = random.random(parts[0].shape) < chance
    result = []
    for part in parts:
        seen, waiting = part.copy(), np.zeros(part[:, 0].shape)
        for at in range(part.shape[1]):
            there = waiting + part[:, at]
            seen[:, at] = np.where(missed[:, at], 0, there)
            waiting = np.where(missed[:, at], there, 0)
        result.append(seen)
    return result
