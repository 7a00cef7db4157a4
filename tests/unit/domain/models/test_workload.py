"""What of a ModelDeployment becomes which field of the Agent that would run it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.domain.models.samples import model, version

from agentherd.api import ModelPhase, Phase, StrategyType
from agentherd.domain.models.registry import asked
from agentherd.domain.models.workload import PHASES, WARM, ServedModel, template, workload
from agentherd.domain.revision import revision_of
from agentherd.domain.template import check
from agentherd.domain.upgrades.strategy import DEFAULTS

TRIED = {"activeVersion": "v1"}


def served(**fields: Any) -> ServedModel:
    one = model(**fields)
    return workload(one, asked(one), DEFAULTS)


def weights(one: ServedModel) -> list[int]:
    assert one.spec.upgrade_policy is not None
    assert one.spec.upgrade_policy.canary is not None
    return [step.weight for step in one.spec.upgrade_policy.canary.steps or ()]


def test_the_version_names_the_revision() -> None:
    """So that a revision tells for ever which version it is of."""
    assert revision_of(served().spec).version == "v1"


def test_two_versions_are_two_revisions() -> None:
    first, second = served(), served(activeVersion="v2")

    assert revision_of(first.spec).hash != revision_of(second.spec).hash


def test_what_people_know_of_a_version_is_not_part_of_it() -> None:
    """Notes can be changed at any time."""
    noted = served(versions=[version("v1", metadata={"by": "me"}), version("v2")])

    assert revision_of(noted.spec).hash == revision_of(served().spec).hash


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        ({"weight": 10}, [10]),
        ({}, [5, 10, 20]),
        ({"cap": 10}, [5, 10]),
        ({"cap": 3}, [3]),
        ({"steps": [{"weight": 1}, {"weight": 2}]}, [1, 2]),
    ],
)
def test_the_canary_says_in_which_steps(canary: dict[str, Any], expected: list[int]) -> None:
    one = served(status=TRIED, canary={"version": "v2"} | canary)

    assert weights(one) == expected


def test_a_canary_takes_its_steps_though_it_served_before() -> None:
    """Only who makes it the active version says that it need not prove itself once more."""
    one = served(status={"activeVersion": "v1"}, canary={"version": "v2", "weight": 10})

    assert one.spec.upgrade_policy is not None
    assert one.spec.upgrade_policy.rollback_window == 0


def test_a_canary_with_only_a_weight_waits_for_a_person() -> None:
    policy = served(status=TRIED, canary={"version": "v2", "weight": 10}).spec.upgrade_policy

    assert policy is not None
    assert policy.canary is not None
    (step,) = policy.canary.steps or ()
    assert step.pause is not None
    assert step.pause.seconds is None


def test_a_swap_without_a_policy_never_gives_more_than_the_cap_before_promotion() -> None:
    assert weights(served(activeVersion="v2", status=TRIED)) == [5, 10, 20]


def test_a_swap_keeps_to_the_policy() -> None:
    policy = served(upgradePolicy={"type": "BlueGreen"}).spec.upgrade_policy

    assert policy is not None
    assert (policy.type, policy.canary) == (StrategyType.BLUE_GREEN, None)


def test_an_image_is_all_a_version_needs() -> None:
    """The pods that are made up pass Pod Security `restricted`."""
    one = model()
    made = template(one, one.spec.versions[0])

    check(made)
    assert made["spec"]["containers"][0]["image"] == "embedder:v1"
    assert made["spec"]["securityContext"]["runAsNonRoot"] is True


def test_the_first_container_gets_the_address_of_the_weights_and_its_resources() -> None:
    pods = {"spec": {"containers": [{"name": "a", "image": "b", "env": [{"name": "C"}]}]}}
    fields = {"modelUri": "s3://x", "resources": {"limits": {"cpu": 1}}}
    one = model(versions=[{"name": "v1", "template": pods, **fields}])

    container = template(one, one.spec.versions[0])["spec"]["containers"][0]

    assert container["env"] == [{"name": "C"}, {"name": "MODEL_URI", "value": "s3://x"}]
    assert container["resources"] == {"limits": {"cpu": 1}}


def test_a_pod_that_has_to_warm_up_is_not_ready_before() -> None:
    one = model(warmUp={"path": "/v1/embeddings"})

    assert template(one, one.spec.versions[0])["spec"]["readinessGates"] == [
        {"conditionType": WARM}
    ]


@pytest.mark.parametrize(
    "pods",
    [{}, {"spec": "x"}, {"spec": {"containers": "x"}}, {"spec": {"containers": [1]}}],
)
def test_what_is_no_template_is_left_for_the_rules_to_tell(pods: dict[str, Any]) -> None:
    one = model(
        versions=[{"name": "v1", "template": pods, "modelUri": "x"}],
        warmUp={"path": "/"},
    )

    assert template(one, one.spec.versions[0]) == pods or not pods


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_becomes_one_of_a_model_and_back(phase: Phase) -> None:
    one = served(status={"phase": PHASES[phase].value})

    assert one.status.phase is phase
    assert set(PHASES.values()) == set(ModelPhase)
