"""What each verb writes, when it writes nothing, and when it is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.plugin.samples import (
    NEW,
    NOON,
    NOW,
    OLD,
    OLDER,
    agent,
    condition,
    judged,
    pending,
    succeeded,
    upgrade,
    worse,
)

from agentherd.api import AgentUpgrade, Approval, Automation
from agentherd.domain.upgrades.approval import standing
from agentherd.plugin import steering
from agentherd.plugin.problems import Problem
from agentherd.plugin.steering import Steer
from agentherd.plugin.tree import family


def rollback(found: AgentUpgrade) -> Steer:
    return steering.rollback(found, agent(), reason="why")


def abort(found: AgentUpgrade) -> Steer:
    return steering.abort(found, reason="why")


def go_on(found: AgentUpgrade) -> Steer:
    return steering.promote(found, step=None, full=False)


def to_the_end(found: AgentUpgrade) -> Steer:
    return steering.promote(found, step=None, full=True)


def approve(found: AgentUpgrade) -> Steer:
    return steering.approve(found, user="ada")


def rate(found: AgentUpgrade) -> Steer:
    return steering.feedback(found, giver="ada", rating=2, comment="slow")


ASKED_BACK = {"rollback": {"requested": True, "reason": "why"}}


@pytest.mark.parametrize(
    ("verb", "found", "patch"),
    [
        (steering.pause, judged(), {"paused": True}),
        (steering.resume, upgrade(spec={"paused": True}), {"paused": False}),
        (go_on, judged(), {"promote": {"step": 2}}),
        (to_the_end, judged(), {"promote": {"full": True}}),
        (to_the_end, pending(), {"promote": {"full": True}}),
        (go_on, upgrade(spec={"promote": {"step": 1}}), {"promote": {"step": 2}}),
        (abort, judged(), ASKED_BACK),
        (abort, pending(), ASKED_BACK),
        (rollback, judged(), ASKED_BACK),
        (rollback, succeeded(), ASKED_BACK),
        (steering.retry, worse(), {"attempt": 2, "rollback": None, "promote": None}),
        (approve, pending(), {"approval": {"approvedBy": "ada", "revision": NEW}}),
        (approve, judged(), {"approval": {"approvedBy": "ada", "revision": None}}),
        (rate, judged(), {"feedback": [{"from": "ada", "rating": 2, "comment": "slow"}]}),
    ],
)
def test_a_verb_writes_what_kubectl_patch_would(
    verb: Any, found: AgentUpgrade, patch: dict[str, Any]
) -> None:
    """The fields of the spec, and no other ones."""
    steer = verb(found)

    assert steer.patch == patch
    assert steer.said


@pytest.mark.parametrize(
    "verb", [steering.pause, go_on, to_the_end, abort, rollback, steering.retry, approve, rate]
)
def test_a_verb_that_was_said_already_writes_nothing(verb: Any) -> None:
    """Doing it twice is doing it once."""
    found = worse() if verb is steering.retry else pending() if verb is approve else judged()
    patch = verb(found).patch
    raw = found.model_dump(by_alias=True, exclude_none=True)
    after = AgentUpgrade.model_validate(raw | {"spec": raw["spec"] | patch})
    if verb is approve:
        after = with_conditions(after, condition("Approved", "True", "Approved", "ada has"))

    again = verb(after)

    assert again.patch is None
    assert again.said


def with_conditions(found: AgentUpgrade, *conditions: dict[str, Any]) -> AgentUpgrade:
    raw = found.model_dump(by_alias=True, exclude_none=True)
    raw["status"]["conditions"] = [*conditions]
    return AgentUpgrade.model_validate(raw)


@pytest.mark.parametrize(
    ("verb", "found", "told"),
    [
        (steering.pause, succeeded(), "hello-3 has ended (Succeeded)"),
        (steering.pause, worse(), "kubectl agentherd retry hello-3"),
        (go_on, worse(), "has ended (RolledBack)"),
        (go_on, pending(), "--step N, or --full"),
        (abort, succeeded(), "kubectl agentherd rollback hello-3"),
        (abort, worse(), "has ended (RolledBack)"),
        (rollback, succeeded("hello-2"), f"--to-revision {OLD}"),
        (rollback, succeeded(phase="Superseded"), "superseded by a later change"),
        (steering.retry, judged(), "has not been rolled back (Progressing)"),
        (steering.retry, upgrade(phase="RollingBack"), "just being rolled back"),
        (steering.retry, worse(attempt=100), "which is the limit"),
        (approve, succeeded(), "cannot be approved any more"),
        (rate, succeeded(), "cannot be rated any more"),
        (steering.pause, upgrade(phase="RollingBack"), "just being rolled back"),
        (go_on, upgrade(phase="RollingBack"), "just being rolled back"),
        (to_the_end, upgrade(phase="RollingBack"), "just being rolled back"),
        (approve, upgrade(phase="RollingBack"), "just being rolled back"),
        (rate, upgrade(phase="RollingBack"), "just being rolled back"),
    ],
)
def test_a_verb_that_can_have_no_effect_is_refused(
    verb: Any, found: AgentUpgrade, told: str
) -> None:
    """One sentence says why, and what to do instead."""
    if found.metadata.name == "hello-3" and found.status.attempt == 100:
        found = found.model_copy(update={"spec": found.spec.model_copy(update={"attempt": 100})})

    with pytest.raises(Problem) as refused:
        verb(found)

    assert told in refused.value.message


def test_a_step_that_does_not_exist_is_refused() -> None:
    """There is nothing to promote to."""
    with pytest.raises(Problem, match="has 3 steps"):
        steering.promote(judged(), step=4, full=False)


def test_what_still_holds_a_promoted_upgrade_is_told() -> None:
    """Nobody waits for something that somebody else has to do first."""
    message = f"revision {NEW} needs approval before it gets all requests"
    found = upgrade(
        spec={"paused": True},
        conditions=[condition("Approved", "False", "ApprovalRequired", message)],
    )

    said = steering.promote(found, step=3, full=False).said

    assert "until somebody resumes it" in said
    assert "waits for approval" in said


def test_an_upgrade_that_nobody_has_paused_says_what_it_waits_for() -> None:
    """`resume` is what people try first."""
    waits = condition("Progressing", "False", "WaitingForPromotion", "waits for spec.promote")
    found = upgrade(phase="Paused", conditions=[waits])

    steer = steering.resume(found)

    assert "waits for spec.promote" in steer.said
    assert "promote" in steer.hints


def test_feedback_of_others_stays() -> None:
    """A list in a merge patch replaces the whole, so it has to have them all."""
    found = upgrade(spec={"feedback": [{"from": "ada", "rating": 5}, {"from": "bob", "rating": 4}]})

    steer = rate(found)

    assert steer.guarded
    assert steer.patch is not None
    assert [each["from"] for each in steer.patch["feedback"]] == ["bob", "ada"]


def test_the_revision_that_is_approved_is_the_one_the_operator_asks_about() -> None:
    """Read from its sentence, which is written elsewhere."""
    strategy = upgrade().status.strategy
    assert strategy is not None
    asked = standing(
        pending(),
        strategy.model_copy(update={"automation": Automation.MANUAL}),
        steps=3,
        goal=NEW,
        checked=True,
    )
    found = with_conditions(pending(), condition("Approved", "False", "X", asked.message))

    assert approve(found).patch == {"approval": {"approvedBy": "ada", "revision": NEW}}


def test_a_new_attempt_is_not_approved_yet() -> None:
    """Who has approved the one that failed is asked again."""
    found = worse()
    given = Approval(approved_by="ada", revision=NEW)
    found = found.model_copy(update={"spec": found.spec.model_copy(update={"approval": given})})

    steer = steering.retry(found)

    assert steer.patch is not None
    assert steer.patch["approval"] == {"approvedBy": None, "revision": None}
    assert "approved anew" in steer.said


def test_an_approval_of_another_revision_is_given_anew() -> None:
    """The upgrade leads elsewhere since then."""
    message = f"ada has approved revision {OLD}, but revision {NEW} needs approval before"
    found = with_conditions(pending(), condition("Approved", "False", "Outdated", message))
    given = Approval(approved_by="ada", revision=OLD)
    found = found.model_copy(update={"spec": found.spec.model_copy(update={"approval": given})})

    assert approve(found).patch == {"approval": {"approvedBy": "ada", "revision": NEW}}


def test_a_kept_revision_is_gone_back_to_by_an_upgrade_of_its_own() -> None:
    """Before all that wait, with the reason where kubectl keeps reasons."""
    made = steering.way_back(agent(), [], revision=OLDER, kept=[OLDER], reason="it was better")

    assert isinstance(made, dict)
    upgrade = AgentUpgrade.model_validate(
        made | {"metadata": made["metadata"] | {"name": "hello-x"}}
    )
    assert upgrade.spec.target_ref.name == "hello"
    assert upgrade.spec.to is not None
    assert upgrade.spec.to.revision == OLDER
    assert made["metadata"]["annotations"] == {"kubernetes.io/change-cause": "it was better"}


def test_an_upgrade_that_goes_back_already_is_not_made_twice() -> None:
    """Doing it twice is doing it once."""
    waiting = pending("hello-back", to={"revision": OLDER})

    found = steering.way_back(agent(), [waiting], revision=OLDER, kept=[OLDER], reason=None)

    assert found == "hello-back"


def test_an_upgrade_of_a_model_of_the_same_name_is_nothing_to_an_agent() -> None:
    """Nobody waits for it, and it leads the Agent nowhere."""
    model = {"kind": "ModelDeployment", "name": "hello"}
    swap = upgrade("swap", spec={"targetRef": model, "to": {"revision": OLDER}})

    assert steering.running_in(agent(), [swap]) is None
    assert isinstance(
        steering.way_back(agent(), [swap], revision=OLDER, kept=[OLDER], reason=None), dict
    )
    assert family(agent(), [swap], replica_sets=[], pods=[], now=NOW).upgrades == ()


@pytest.mark.parametrize(
    ("revision", "kept", "told"),
    [
        ("1111111112", [OLDER], f"did you mean {OLDER}"),
        (OLDER, [], "nor any other former one"),
        (OLD, [OLD, OLDER], "is the one that serves"),
    ],
)
def test_a_revision_that_cannot_be_gone_back_to_is_refused(
    revision: str, kept: list[str], told: str
) -> None:
    """It says which ones can."""
    settled = agent(status={"targetRevision": OLD})

    with pytest.raises(Problem) as refused:
        steering.way_back(settled, [], revision=revision, kept=kept, reason=None)

    assert told in refused.value.message


def test_an_upgrade_that_has_not_seen_its_spec_has_not_ended() -> None:
    """Right after a rollback was asked for, nobody may call it over."""
    found = succeeded(observedGeneration=0)

    assert abort(found).patch == ASKED_BACK
    assert found.status.started_at == NOON
