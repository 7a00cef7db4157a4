"""In a route that a person wrote only the weights of the Agent's backends are ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentherd.domain.kinds import is_revision_service
from agentherd.domain.routing.weights import (
    Backend,
    RouteConflict,
    Rule,
    ports_of,
    refers,
    safe_weight,
    sends_to,
    weight_in,
    weighted,
)

STABLE = Backend("greeter", 8080)
X = Backend("greeter-0123456789", 8080)
Y = Backend("greeter-abcdef0123", 9090)


def ours(service: str) -> bool:
    return is_revision_service("greeter", service)


def split(rules: list[Rule], canary: Backend | None, weight: int = 0) -> list[Rule]:
    return weighted(
        rules, namespace="default", stable=STABLE, canary=canary, weight=weight, ours=ours
    )


def ref(name: str, weight: int | None = 1, **fields: Any) -> dict[str, Any]:
    given_weight = {} if weight is None else {"weight": weight}
    return {"group": "", "kind": "Service", "name": name, "port": 8080, **fields, **given_weight}


def rule(*refs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], **fields} | {
        "backendRefs": list(refs)
    }


def weights(a_rule: Rule) -> dict[str, int]:
    return {r["name"]: r["weight"] for r in a_rule["backendRefs"]}


def text(rules: list[Rule]) -> str:
    """What would be sent: the order of keys counts as well."""
    return json.dumps(rules)


# Rules as the API server stores them: every weight is there.

percents = st.integers(0, 100)
canaries = st.sampled_from([X, Y])
unknown = st.dictionaries(
    st.sampled_from(["filters", "timeouts", "sessionPersistence", "name", "x-new"]),
    st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2)),
    max_size=3,
)
foreign_refs = st.one_of(
    st.builds(
        lambda name, weight, more: ref(name, weight, **more),
        st.sampled_from(["other", "greeter-v2", "greeter-012345678", "agreeter", "greete"]),
        st.integers(0, 1_000_000),
        unknown.map(lambda fields: {k: v for k, v in fields.items() if k != "name"}),
    ),
    st.just(ref("greeter", 7, namespace="elsewhere")),
    st.just(ref("greeter", 7, kind="ServiceImport", group="multicluster.x-k8s.io")),
    st.just(ref("greeter-0123456789", 7, kind="Backend", group="example.com")),
)


def stable_refs(least: int, most: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda weight, port, more, namespace: ref("greeter", weight, **more | namespace, port=port),
        st.just(0) | st.integers(least, most),
        st.sampled_from([8080, 8081]),
        unknown.map(lambda fields: {k: v for k, v in fields.items() if k != "name"}),
        st.sampled_from([{}, {"namespace": "default"}]),
    )


def made(refs: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
    return fields | rule(*refs)


foreign_rules = st.builds(made, st.lists(foreign_refs, max_size=3), unknown)
sole_rules = st.builds(made, st.lists(stable_refs(1, 10_000), min_size=1, max_size=2), unknown)
shared_rules = st.builds(
    lambda before, own, after, fields: made([*before, own, *after], fields),
    st.lists(foreign_refs, min_size=1, max_size=2),
    stable_refs(2, 1_000_000),
    st.lists(foreign_refs, max_size=2),
    unknown,
)
rule_lists = st.lists(foreign_rules | sole_rules | shared_rules, max_size=4)


@given(rule_lists, canaries, st.lists(percents, min_size=1, max_size=4))
def test_after_a_rollout_the_route_is_what_it_was(
    rules: list[Rule], canary: Backend, steps: list[int]
) -> None:
    """Whatever the steps were, to the last byte, odd weights and unknown fields included."""
    live = rules
    for weight in steps:
        live = split(live, canary, weight)

    assert text(split(live, None)) == text(rules)


@given(rule_lists, canaries, percents)
def test_setting_a_weight_twice_is_setting_it_once(
    rules: list[Rule], canary: Backend, weight: int
) -> None:
    """A process that was killed after its write decides the same again."""
    once = split(rules, canary, weight)

    assert text(split(once, canary, weight)) == text(once)


@given(rule_lists, canaries, canaries, percents, percents)
def test_only_the_last_canary_and_its_weight_count(
    rules: list[Rule], former: Backend, canary: Backend, before: int, weight: int
) -> None:
    """The way to a weight leaves no trace, nor does a version that was superseded on the way."""
    assert text(split(split(rules, former, before), canary, weight)) == text(
        split(rules, canary, weight)
    )


@given(rule_lists, canaries, percents)
def test_what_is_foreign_stays_as_it_is_and_where_it_is(
    rules: list[Rule], canary: Backend, weight: int
) -> None:
    """Without our backends' weights, and without the canary, nothing has changed."""

    def foreign(some: list[Rule]) -> str:
        def masked(r: dict[str, Any]) -> dict[str, Any]:
            service = r["kind"] == "Service" and r.get("namespace", "default") == "default"
            return {**r, "weight": None} if service and r["name"] == STABLE.service else r

        def bare(a_rule: Rule) -> Rule:
            canaries_out = [r for r in a_rule["backendRefs"] if not is_canary(r)]
            return {**a_rule, "backendRefs": [masked(r) for r in canaries_out]}

        def is_canary(r: dict[str, Any]) -> bool:
            return bool(r["name"] == canary.service and r["kind"] == "Service")

        return text([bare(a_rule) for a_rule in some])

    assert foreign(split(rules, canary, weight)) == foreign(rules)


@given(st.lists(foreign_rules, max_size=4), canaries | st.none(), percents)
def test_rules_without_the_agent_are_left_alone(
    rules: list[Rule], canary: Backend | None, weight: int
) -> None:
    """Services with a similar name, of another namespace or of another kind are not the Agent's."""
    assert all(
        after is before for after, before in zip(split(rules, canary, weight), rules, strict=True)
    )


@given(sole_rules, canaries, percents)
def test_alone_in_a_rule_the_percentage_is_exact(
    a_rule: Rule, canary: Backend, weight: int
) -> None:
    """The weights add up to a hundred times the original one."""
    (after,) = split([a_rule], canary, weight)

    originals = [r["weight"] for r in a_rule["backendRefs"]]
    found = [r["weight"] for r in after["backendRefs"]]
    assert found == [part for t in originals for part in (t * (100 - weight), t * weight)]


@given(shared_rules, canaries, percents)
def test_what_others_get_of_a_shared_rule_is_not_changed(
    a_rule: Rule, canary: Backend, weight: int
) -> None:
    """Our weights add up to the original one, and either side has something in between."""
    (after,) = split([a_rule], canary, weight)

    refs = after["backendRefs"]
    place = next(i for i, r in enumerate(refs) if r not in a_rule["backendRefs"] or is_own(r))
    total = next(r["weight"] for r in a_rule["backendRefs"] if is_own(r))
    rest, part = refs[place]["weight"], refs[place + 1]["weight"]
    assert rest + part == total
    assert abs(part * 100 - total * weight) <= 100
    assert (part > 0) == (weight > 0 and total > 0)
    assert (rest > 0) == (weight < 100 and total > 0)


def is_own(r: dict[str, Any]) -> bool:
    return bool(
        r["name"] == STABLE.service
        and r["kind"] == "Service"
        and r.get("namespace", "default") == "default"
    )


@given(rule_lists, canaries, percents)
def test_nothing_that_was_seen_is_changed(rules: list[Rule], canary: Backend, weight: int) -> None:
    """The view of the route is shared with everybody else who looks at it."""
    before = text(rules)

    split(split(rules, canary, weight), None)

    assert text(rules) == before


@given(st.lists(sole_rules, min_size=1, max_size=3), canaries, percents)
def test_the_weight_can_be_read_back(rules: list[Rule], canary: Backend, weight: int) -> None:
    """Unless the Agent has no weight at all."""
    live = split(rules, canary, weight)

    seen = weight_in(live, namespace="default", stable=STABLE.service, canary=canary.service)

    sent = any(r["weight"] for a_rule in rules for r in a_rule["backendRefs"])
    assert seen == (weight if sent else 0)


def test_a_canary_stands_behind_the_stable_backend_with_the_same_filters() -> None:
    """Who adds a header for the Agent's requests means those to its new version too."""
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]
    rules = [rule(ref("greeter", 100, filters=filters), ref("other", 50))]

    (after,) = split(rules, Y, 20)

    stable, canary, other = after["backendRefs"]
    assert stable == ref("greeter", 80, filters=filters)
    assert canary == ref("greeter-abcdef0123", 20, filters=filters)
    assert other == ref("other", 50)


def test_a_backend_keeps_its_port() -> None:
    """A rule for metrics does not begin to send its requests to the port for tasks."""
    rules = [rule(ref("greeter", port=9102))]

    (after,) = split(rules, Y, 0)

    assert [r["port"] for r in after["backendRefs"]] == [9102, 9102]


def test_the_ports_of_the_agent_are_those_of_its_own_backends() -> None:
    """In all rules; those of others, and of kinds that are no Service, do not count."""
    rules = [
        rule(ref("greeter", port=8080), ref("other", port=80)),
        rule(ref("greeter", port=9102), ref("greeter", port=1, kind="ServiceImport")),
        {"matches": []},
    ]

    assert ports_of(rules, "greeter", namespace="default") == {8080, 9102}


@pytest.mark.parametrize(
    ("backends", "sends"),
    [
        ([ref("greeter")], False),
        ([ref("greeter", 80), ref(Y.service, 20)], True),
        ([ref("greeter", 100), ref(Y.service, 0)], False),
        ([ref(Y.service, None)], True),
        ([ref(Y.service, namespace="other")], False),
    ],
    ids=["alone", "a part", "weight 0", "testers", "another namespace"],
)
def test_whether_a_route_sends_to_a_new_version(
    backends: list[dict[str, Any]], sends: bool
) -> None:
    """A backend without a weight has one."""
    assert sends_to([rule(*backends)], namespace="default", ours=ours) == sends


def test_an_absent_weight_means_one() -> None:
    """The API server writes it into what it stores; group and kind have defaults too."""
    bare: list[Rule] = [{"backendRefs": [{"name": "greeter", "port": 8080}]}]

    live = split(bare, X, 5)

    assert weights(live[0]) == {"greeter": 95, X.service: 5}
    assert split(live, None) == [{"backendRefs": [{"name": "greeter", "port": 8080, "weight": 1}]}]
    assert split(bare, None)[0] is bare[0]


@pytest.mark.parametrize(
    ("total", "weight", "part"),
    [(100, 25, 25), (10, 25, 3), (3, 1, 1), (3, 99, 2), (2, 50, 1), (1, 0, 0), (1, 100, 1)],
)
def test_a_part_of_a_shared_rule_is_rounded(total: int, weight: int, part: int) -> None:
    """But neither side is left with nothing while both are to get something."""
    (after,) = split([rule(ref("greeter", total), ref("other", 5))], X, weight)

    assert weights(after) == {"greeter": total - part, X.service: part, "other": 5}


@pytest.mark.parametrize(
    ("a_rule", "message"),
    [
        (
            rule(ref("greeter", 1), ref("other", 1)),
            "rules[0] of the route gives greeter the weight 1 beside other backends, which cannot "
            "be divided; multiply all weights of the rule by 100",
        ),
        (
            rule(ref("greeter", 10_001)),
            "rules[0] of the route gives greeter the weight 10001, of which no percentage can be "
            "taken; set it to 10000 or less",
        ),
        (
            rule(ref("greeter", 100), *(ref(f"other-{i}") for i in range(15))),
            "rules[0] of the route would have 17 backends with those of the new version, and 16 "
            "is the most it can have; remove 1",
        ),
    ],
    ids=["too small", "too large", "full"],
)
def test_what_cannot_be_split_is_said_with_what_to_do(a_rule: Rule, message: str) -> None:
    """The route stays as it is."""
    with pytest.raises(RouteConflict) as error:
        split([a_rule], X, 20)

    assert str(error.value) == message


def test_a_full_rule_with_a_canary_in_it_is_not_too_full() -> None:
    """The one that is replaced makes room."""
    full = rule(ref("greeter", 100), *(ref(f"other-{i}") for i in range(14)))

    live = split([full], X, 20)

    assert split(live, Y, 30) == split([full], Y, 30)


@pytest.mark.parametrize("drifted", [{"stable": 300, "part": 15}, {"stable": 285, "part": 0}])
def test_a_weight_that_somebody_changed_is_put_right(drifted: dict[str, int]) -> None:
    """As long as the original one can still be guessed from the sum, it is."""
    edited = [rule(ref("greeter", drifted["stable"]), ref(X.service, drifted["part"]))]

    (after,) = split(edited, X, 5)

    assert weights(after) == {"greeter": 285, X.service: 15}


def test_a_route_that_was_written_anew_is_split_anew() -> None:
    """GitOps puts its own list of backends in the place of ours."""
    assert weights(split([rule(ref("greeter", 2))], X, 5)[0]) == {"greeter": 190, X.service: 10}


def test_a_canary_that_somebody_moved_is_put_back() -> None:
    """It never appears twice."""
    moved = [rule(ref(X.service, 5), ref("greeter", 95))]

    (after,) = split(moved, X, 10)

    assert list(weights(after).items()) == [("greeter", 90), (X.service, 10)]


def test_a_canary_before_several_stable_backends_belongs_to_the_first() -> None:
    """The others keep the weight they have."""
    first, second = ref("greeter", 380), ref("greeter", 100, port=8081)
    moved = [rule(ref(X.service, 20), first, second)]

    (after,) = split(moved, None)

    assert [r["weight"] for r in after["backendRefs"]] == [4, 1]


def test_the_canary_that_is_asked_for_is_ours_whatever_its_name() -> None:
    """It is never added beside itself."""
    odd = Backend("preview", 8080)

    once = split([rule(ref("greeter"))], odd, 5)

    assert split(once, odd, 10) == split([rule(ref("greeter"))], odd, 10)


def test_a_canary_without_its_stable_backend_is_left_until_it_is_over() -> None:
    """Somebody took the Agent out of the rule; what is left of it goes with the canary."""
    edited: list[Rule] = [rule(ref(X.service, 5), ref("other", 7))]

    assert split(edited, X, 50)[0] is edited[0]
    assert split(edited, Y, 50) == split(edited, None) == [rule(ref("other", 7))]


def test_a_rule_without_backends_is_no_surprise() -> None:
    """A redirect has none."""
    rules: list[Rule] = [{"filters": [{"type": "RequestRedirect"}]}, {"backendRefs": None}]

    assert split(rules, X, 50) == rules
    assert not refers(rules, "greeter", namespace="default")


@pytest.mark.parametrize(
    ("a_ref", "found"),
    [
        (ref("greeter"), True),
        ({"name": "greeter"}, True),
        (ref("greeter", namespace="default"), True),
        (ref("greeter", namespace="elsewhere"), False),
        (ref("greeter", kind="ServiceImport"), False),
        (ref("greeter", group="example.com"), False),
        (ref(X.service), False),
    ],
)
def test_a_route_refers_to_a_service_of_its_namespace(
    a_ref: dict[str, Any], *, found: bool
) -> None:
    """Group, kind and namespace have defaults."""
    assert refers([rule(ref("other")), rule(a_ref)], "greeter", namespace="default") is found


@pytest.mark.parametrize(
    ("rules", "weight"),
    [
        ([], None),
        ([rule(ref("other")), rule(ref(X.service))], None),
        ([rule(ref("greeter", 0))], 0),
        ([rule(ref("greeter", 1))], 0),
        ([rule(ref("greeter", 95), ref(X.service, 5))], 5),
        ([rule(ref("greeter", 0), ref(X.service, 5))], 100),
        ([rule(ref("greeter", 999), ref(X.service, 1))], 1),
        ([rule(ref("greeter", 1), ref(X.service, 999))], 99),
        ([rule(ref("greeter", 9), ref(X.service, 1)), rule(ref("greeter"))], 10),
    ],
)
def test_the_weight_of_a_route_is_the_largest_of_its_rules(
    rules: list[Rule], weight: int | None
) -> None:
    """It is 0 only when no rule sends anything to the canary, and 100 only when one sends all."""
    assert weight_in(rules, namespace="default", stable="greeter", canary=X.service) == weight


@given(percents, st.integers(0, 9), st.integers(0, 9))
def test_a_side_with_nobody_ready_gets_nothing(weight: int, stable: int, canary: int) -> None:
    """While the other has somebody; with nobody on either side it stays with the stable one.

    A canary that nobody has let at requests yet gets none, whatever happens to the stable side.
    """
    safe = safe_weight(weight, stable_ready=stable, canary_ready=canary)

    assert canary > 0 or safe == 0
    assert stable > 0 or canary == 0 or weight == 0 or safe == 100
    assert weight > 0 or safe == 0
    assert stable == 0 or canary == 0 or safe == weight
