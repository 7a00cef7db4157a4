"""How a route's traffic is split between the stable and the new version of an Agent.

In a route that a person wrote nothing but the weights of the Agent's own backends is ours, and
nothing is remembered about what was there before: whoever is killed in the middle of a canary, or
finds a route that somebody edited meanwhile, has only the route itself. So the original weight is
kept in it. In a rule that is all ours the weights add up to a hundred times the original one; in
one that is shared with others they add up to the original one, as the others' part must not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from agentherd.domain.errors import TerminalError

Rule = Mapping[str, Any]
BackendRef = Mapping[str, Any]

MAX_WEIGHT: Final = 1_000_000
"""The largest weight the Gateway API allows."""

MAX_BACKENDS: Final = 16
"""How many backends the Gateway API allows in one rule."""


class RouteConflict(TerminalError):
    """The route that a person wrote leaves no room to split traffic in it."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service in the namespace of the route, and the port that takes requests."""

    service: str
    port: int


class _Role(Enum):
    STABLE = auto()
    CANARY = auto()
    FOREIGN = auto()


def weighted(
    rules: Iterable[Rule],
    *,
    namespace: str,
    stable: Backend,
    canary: Backend | None,
    weight: int,
    ours: Callable[[str], bool],
) -> list[Rule]:
    """The rules with `weight` percent of the Agent's part sent to `canary`, or with none in them.

    `namespace` is that of the route, `ours` tells which Services belong to revisions of the Agent.
    A canary is a copy of the stable backend it stands behind, so that the filters of that hold for
    it too, and so does the port. Rules that do not refer to the stable Service are a person's wish:
    a canary alone in one is left until it is over.

    Raises:
        RouteConflict: a rule cannot be split as asked.
    """

    def role(ref: BackendRef) -> _Role:
        name = ref["name"]
        if not _is_service(ref, namespace):
            return _Role.FOREIGN
        if name == stable.service:
            return _Role.STABLE
        is_canary = ours(name) or (canary is not None and name == canary.service)
        return _Role.CANARY if is_canary else _Role.FOREIGN

    result: list[Rule] = []
    for number, rule in enumerate(rules):
        refs = rule.get("backendRefs") or ()
        roles = [role(ref) for ref in refs]
        if _Role.STABLE not in roles:
            result.append(_without_former(rule, refs, roles, canary))
        elif canary is not None:
            _check_room(refs, roles, f"rules[{number}]")
            result.append(_split(rule, refs, roles, stable, canary, weight, f"rules[{number}]"))
        else:
            result.append(_restored(rule, refs, roles))
    return result


def refers(rules: Iterable[Rule], service: str, *, namespace: str) -> bool:
    """Whether any rule has the Service among its backends."""
    return any(service in _services(rule, namespace) for rule in rules)


def ports_of(rules: Iterable[Rule], service: str, *, namespace: str) -> frozenset[int]:
    """The ports by which the rules refer to the Service."""
    return frozenset(
        ref["port"] for ref in _all(rules, namespace) if ref["name"] == service and "port" in ref
    )


def sends_to(rules: Iterable[Rule], *, namespace: str, ours: Callable[[str], bool]) -> bool:
    """Whether any rule sends requests to a Service that is `ours`, if only those of testers."""
    return any(ours(ref["name"]) and _weight(ref) > 0 for ref in _all(rules, namespace))


def weight_in(rules: Iterable[Rule], *, namespace: str, stable: str, canary: str) -> int | None:
    """The percent of the Agent's part that the route asks for `canary`; None without the Agent.

    Of several rules the one with the largest part counts. 0 and 100 are exact: they are given only
    where the one Service or the other has no weight at all.
    """
    parts = [_services(rule, namespace) for rule in rules]
    return max((_percent(p.get(canary, 0), p[stable]) for p in parts if stable in p), default=None)


def safe_weight(weight: int, *, stable_ready: int, canary_ready: int) -> int:
    """The weight of the canary such that a side with no ready endpoint gets nothing.

    A canary that was given no weight gets none even then: people may still be looking at it.
    """
    if canary_ready == 0 or weight == 0:
        return 0
    return 100 if stable_ready == 0 else weight


def _split(
    rule: Rule,
    refs: Sequence[BackendRef],
    roles: Sequence[_Role],
    stable: Backend,
    canary: Backend,
    weight: int,
    where: str,
) -> Rule:
    divide = _shared_weights if _Role.FOREIGN in roles else _sole_weights
    originals = _originals(refs, roles)
    result: list[BackendRef] = []
    for index, (ref, role) in enumerate(zip(refs, roles, strict=True)):
        if role is _Role.FOREIGN:
            result.append(ref)
        elif role is _Role.STABLE:
            what = f"{where} of the route gives {stable.service}"
            rest, part = divide(originals[index], weight, what)
            result += [
                {**ref, "weight": rest},
                {**ref, "name": canary.service, "weight": part},
            ]
    return {**rule, "backendRefs": result}


def _restored(rule: Rule, refs: Sequence[BackendRef], roles: Sequence[_Role]) -> Rule:
    if _Role.CANARY not in roles:
        return rule
    originals = _originals(refs, roles)
    result = [
        {**ref, "weight": originals[index]} if index in originals else ref
        for index, ref in enumerate(refs)
        if roles[index] is not _Role.CANARY
    ]
    return {**rule, "backendRefs": result}


def _without_former(
    rule: Rule, refs: Sequence[BackendRef], roles: Sequence[_Role], canary: Backend | None
) -> Rule:
    """A rule from which a person took the stable Service: only canaries that are over go."""
    current = canary.service if canary else None
    kept = [
        ref
        for ref, role in zip(refs, roles, strict=True)
        if role is not _Role.CANARY or ref["name"] == current
    ]
    return rule if len(kept) == len(refs) else {**rule, "backendRefs": kept}


def _originals(refs: Sequence[BackendRef], roles: Sequence[_Role]) -> dict[int, int]:
    """The weight that each stable backend has without a canary, by its place in the rule.

    A canary belongs to the stable backend it stands behind; one that a person has moved before all
    of them belongs to the first.
    """
    sums = {i: _weight(refs[i]) for i, role in enumerate(roles) if role is _Role.STABLE}
    nearest = min(sums)
    for index, role in enumerate(roles):
        if role is _Role.STABLE:
            nearest = index
        elif role is _Role.CANARY:
            sums[nearest] += _weight(refs[index])
    if _Role.CANARY not in roles or _Role.FOREIGN in roles:
        return sums
    # Where somebody changed a weight the sum is odd; alone in its rule any weight means the same.
    return {index: max(1, (total + 50) // 100) if total else 0 for index, total in sums.items()}


def _sole_weights(original: int, weight: int, what: str) -> tuple[int, int]:
    if original * 100 > MAX_WEIGHT:
        limit = MAX_WEIGHT // 100
        raise RouteConflict(
            f"{what} the weight {original}, of which no percentage can be taken; "
            f"set it to {limit} or less"
        )
    return original * (100 - weight), original * weight


def _shared_weights(original: int, weight: int, what: str) -> tuple[int, int]:
    part = (original * weight + 50) // 100
    if original and 0 < weight < 100:
        if original == 1:
            raise RouteConflict(
                f"{what} the weight 1 beside other backends, which cannot be divided; "
                "multiply all weights of the rule by 100"
            )
        part = min(max(part, 1), original - 1)
    return original - part, part


def _check_room(refs: Sequence[BackendRef], roles: Sequence[_Role], where: str) -> None:
    needed = len(refs) - roles.count(_Role.CANARY) + roles.count(_Role.STABLE)
    if needed > MAX_BACKENDS:
        raise RouteConflict(
            f"{where} of the route would have {needed} backends with those of the new version, and "
            f"{MAX_BACKENDS} is the most it can have; remove {needed - MAX_BACKENDS}"
        )


def _all(rules: Iterable[Rule], namespace: str) -> Iterator[BackendRef]:
    """All references to Services."""
    for rule in rules:
        for ref in rule.get("backendRefs") or ():
            if _is_service(ref, namespace):
                yield ref


def _services(rule: Rule, namespace: str) -> dict[str, int]:
    """The Services of a rule and their weights."""
    found: dict[str, int] = {}
    for ref in _all([rule], namespace):
        found[ref["name"]] = found.get(ref["name"], 0) + _weight(ref)
    return found


def _is_service(ref: BackendRef, namespace: str) -> bool:
    return (
        not ref.get("group")
        and ref.get("kind", "Service") == "Service"
        and ref.get("namespace", namespace) == namespace
    )


def _weight(ref: BackendRef) -> int:
    weight: int = ref.get("weight", 1)
    return weight


def _percent(part: int, rest: int) -> int:
    if part == 0 or rest == 0:
        return 100 if part else 0
    return min(max((200 * part + part + rest) // (2 * (part + rest)), 1), 99)
