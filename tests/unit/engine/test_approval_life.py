"""Upgrades that wait for approval, from the change to the end, and the ways around that are shut.

The policies of the API server are not played here: what is in a spec has been let through. What is
shown is that nothing goes forward without, whatever else anybody may write.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.twin import Rig, Twin, agent, raw_agent, raw_upgrade

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, REPLICA_SET
from agentherd.domain.revision import revision_of

ADA: Final = "ada@example.com"
STEPS: Final = {"canary": {"steps": [{"weight": 20}, {"weight": 50, "pause": {"seconds": 5}}]}}
LONG: Final = 60
"""Seconds in which everything would happen that is going to."""

OLD: Final = revision_of(agent().spec).hash
NEW: Final = revision_of(agent(image="agent:2").spec).hash
OTHER: Final = revision_of(agent(image="agent:3").spec).hash


class Story:
    """An Agent that is up, with an automation, and an operator that is driven by hand."""

    def __init__(self, rig: Rig, automation: str, **spec: Any) -> None:
        self.rig = rig
        self.twin = rig.twin
        self.spec: dict[str, Any] = {
            "replicas": 2,
            "upgradePolicy": STEPS | {"automation": automation},
        } | spec

    async def rest(self) -> None:
        await self.rig.until_quiet(patience=LONG)

    async def begin(self) -> None:
        self.twin.put(AGENT, raw_agent(**self.spec))
        await self.rest()

    async def change(self, image: str = "agent:2", **spec: Any) -> None:
        self.spec |= spec
        wanted = raw_agent(image=image, **self.spec)["spec"]
        self.twin.edit(AGENT, "greeter", {"spec": wanted})
        await self.rest()

    async def steer(self, name: str = "greeter-2", **spec: Any) -> None:
        self.twin.edit(AGENT_UPGRADE, name, {"spec": spec})
        await self.rest()

    async def approve(self, name: str = "greeter-2", **approval: Any) -> None:
        await self.steer(name, approval={"approvedBy": ADA} | approval)

    def status(self, name: str = "greeter-2") -> dict[str, Any]:
        status: dict[str, Any] = self.twin.live(AGENT_UPGRADE, name)["status"]
        return status

    def phase(self, name: str = "greeter-2") -> str:
        phase: str = self.status(name)["phase"]
        return phase

    def approved(self, name: str = "greeter-2") -> tuple[str, str] | None:
        """Status and reason of the condition."""
        found = (c for c in self.status(name)["conditions"] if c["type"] == "Approved")
        return next(((c["status"], c["reason"]) for c in found), None)

    @property
    def stable(self) -> str:
        stable: str = self.twin.live(AGENT, "greeter")["status"]["stableRevision"]
        return stable

    def pods_of(self, revision: str) -> int:
        sets = {
            raw["metadata"]["name"]: raw["spec"]["replicas"] for raw in self.twin.all(REPLICA_SET)
        }
        return int(sets.get(f"greeter-{revision}", 0))


async def waiting(rig: Rig, automation: str, **spec: Any) -> Story:
    """A story up to where a change of the image waits for approval."""
    one = Story(rig, automation, **spec)
    await one.begin()
    await one.change()
    return one


async def test_manual_waits_before_it_begins(rig: Rig) -> None:
    """Not one pod of the new version is started; then it goes on by itself to its end."""
    one = await waiting(rig, "Manual")
    before = (one.phase(), one.approved(), one.pods_of(NEW), one.stable)

    await one.approve()

    assert before == ("Pending", ("False", "ApprovalRequired"), 0, OLD)
    assert (one.phase(), one.approved()) == ("Succeeded", ("True", "Approved"))
    assert one.stable == NEW
    record = one.status()["approval"]
    assert (record["by"], record["revision"]) == (ADA, NEW)
    assert ("Approved", ADA) in [(c["verb"], c["by"]) for c in one.status()["controls"]]
    assert one.status()["strategy"]["automation"] == "Manual"


async def test_semi_auto_takes_its_steps_and_waits_before_promotion(rig: Rig) -> None:
    """The new version keeps the weight of its last step."""
    one = await waiting(rig, "SemiAuto", traffic={"parentRefs": [{"name": "gate"}]})
    status = one.status()
    before = (status["phase"], status["step"], status["weight"], one.approved(), one.stable)

    await one.approve()

    assert before == ("Paused", 2, 50, ("False", "ApprovalRequired"), OLD)
    assert (one.phase(), one.approved(), one.stable) == ("Succeeded", ("True", "Approved"), NEW)


@pytest.mark.parametrize("kind", [{"type": "RollingUpdate"}, {"canary": {"steps": []}}])
async def test_semi_auto_without_steps_waits_before_it_begins(
    rig: Rig, kind: dict[str, Any]
) -> None:
    """There is no later moment at which little has happened."""
    policy = kind | {"automation": "SemiAuto"}
    one = await waiting(rig, "SemiAuto", upgradePolicy=policy)
    before = (one.phase(), one.pods_of(NEW))

    await one.approve()

    assert before == ("Pending", 0)
    assert (one.phase(), one.stable) == ("Succeeded", NEW)


async def test_semi_auto_is_approved_in_advance(rig: Rig) -> None:
    """Whoever knows what comes need not wait for the last step."""
    one = Story(rig, "SemiAuto")
    await one.begin()
    name = {"targetRef": {"name": "greeter"}}
    approval = {"approvedBy": ADA}
    rig.twin.put(
        AGENT_UPGRADE,
        raw_upgrade("mine", to={"image": "agent:2"}, approval=approval, **name),
    )
    await one.rest()

    assert (one.phase("mine"), one.approved("mine")) == ("Succeeded", ("True", "Approved"))


async def test_auto_asks_nobody(rig: Rig) -> None:
    """And says nothing of approval."""
    one = await waiting(rig, "Auto")

    assert (one.phase(), one.approved()) == ("Succeeded", None)


async def test_an_upgrade_may_require_approval_of_an_agent_that_does_not(rig: Rig) -> None:
    """It can only add to what the Agent demands."""
    one = Story(rig, "Auto")
    await one.begin()
    rig.twin.put(
        AGENT_UPGRADE, raw_upgrade("mine", to={"image": "agent:2"}, approval={"required": True})
    )
    await one.rest()
    before = one.phase("mine")

    await one.approve("mine", required=True)

    assert (before, one.phase("mine")) == ("Pending", "Succeeded")


async def test_leave_to_promote_takes_the_place_of_no_approval(rig: Rig) -> None:
    """Neither before it begins nor at its last step."""
    for automation, phase in (("Manual", "Pending"), ("SemiAuto", "Paused")):
        one = await waiting(Rig(Twin(rig.twin._clock)), automation)

        await one.steer(promote={"full": True, "step": 2})

        assert (one.phase(), one.stable) == (phase, OLD)


@pytest.mark.parametrize("checked", [True, False])
async def test_a_name_counts_only_where_names_are_checked(rig: Rig, checked: bool) -> None:
    """Else anybody could have written it; once policies are there it does."""
    one = await waiting(rig, "Manual")
    forgery = rig.twin.forgery
    rig.twin.forgery = forgery if checked else None

    await one.approve()
    before = (one.phase(), one.approved(), one.status().get("approval") is not None)
    rig.twin.forgery = forgery
    await one.steer(paused=False)

    assert before == (
        ("Succeeded", ("True", "Approved"), True)
        if checked
        else ("Pending", ("False", "PolicyMissing"), False)
    )
    assert one.phase() == "Succeeded"


async def test_an_approval_of_another_revision_is_outdated(rig: Rig) -> None:
    """What was looked at is what is approved."""
    one = await waiting(rig, "Manual")

    await one.approve(revision=OTHER)
    before = (one.phase(), one.approved(), one.status()["approval"]["revision"])
    await one.approve(revision=NEW)

    assert before == ("Pending", ("False", "ApprovalOutdated"), OTHER)
    assert (one.phase(), one.stable) == ("Succeeded", NEW)


async def test_an_approval_does_not_follow_what_the_agent_becomes(rig: Rig) -> None:
    """An upgrade that changes only a part leads elsewhere once the rest is another one."""
    one = Story(rig, "Manual")
    await one.begin()
    rig.twin.put(
        AGENT_UPGRADE,
        raw_upgrade("mine", to={"version": "2.0.0"}, approval={"approvedBy": ADA}, paused=True),
    )
    await one.rest()
    await one.change("agent:2")
    await one.approve("greeter-2")

    await one.steer("mine", paused=False)

    assert one.phase("mine") == "Pending"
    assert one.approved("mine") == ("False", "ApprovalOutdated")


async def test_an_approval_that_is_taken_back_holds_the_promotion_again(rig: Rig) -> None:
    """As long as it has not been promoted."""
    one = Story(rig, "SemiAuto")
    await one.begin()
    rig.twin.put(
        AGENT_UPGRADE,
        raw_upgrade("mine", to={"image": "agent:2"}, approval={"approvedBy": ADA}, paused=True),
    )
    await one.rest()

    await one.steer("mine", paused=False, approval=None)

    assert (one.phase("mine"), one.stable) == ("Paused", OLD)
    assert one.approved("mine") == ("False", "ApprovalRequired")
    assert "approval" not in one.status("mine")
    assert [c["verb"] for c in one.status("mine")["controls"]].count("ApprovalWithdrawn") == 1


@pytest.mark.parametrize("automation", ["Manual", "SemiAuto"])
async def test_what_has_succeeded_goes_back_without_approval(rig: Rig, automation: str) -> None:
    """Whoever may edit may take a change back at once."""
    one = await waiting(rig, automation)
    await one.approve()

    await one.steer(approval=None, rollback={"requested": True})

    assert (one.phase(), one.stable) == ("RolledBack", OLD)


async def test_a_failing_version_goes_back_without_approval(rig: Rig) -> None:
    """At its steps, before anybody has approved anything."""
    one = Story(rig, "SemiAuto")
    await one.begin()
    rig.controllers.sick_images["agent:2"] = "ErrImagePull"
    await one.change()

    assert (one.phase(), one.stable) == ("RolledBack", OLD)


async def test_what_waits_is_given_up_by_setting_the_spec_back(rig: Rig) -> None:
    """What serves needs no approval."""
    one = await waiting(rig, "Manual")

    await one.change("agent:1")

    assert (one.phase(), one.stable) == ("Superseded", OLD)


async def test_looser_automation_does_not_free_what_has_begun(rig: Rig) -> None:
    """It was settled when it began; the next change is another one."""
    one = await waiting(rig, "SemiAuto")

    await one.change("agent:2", upgradePolicy=STEPS | {"automation": "Auto"})

    assert (one.phase(), one.stable) == ("Paused", OLD)


@pytest.mark.parametrize("automation", ["Manual", "SemiAuto"])
@pytest.mark.parametrize(
    "stop", [{"replicas": 0}, {"operatingMode": "Suspended"}, {"operatingMode": "Offline"}]
)
async def test_a_change_of_a_stopped_agent_is_no_way_around(
    rig: Rig, automation: str, stop: dict[str, Any]
) -> None:
    """Else whoever may stop an Agent could change it meanwhile and start it again."""
    one = Story(rig, automation)
    await one.begin()
    start = {"replicas": 2, "operatingMode": "Running"}

    await one.change("agent:1", **stop)
    await one.change("agent:2")
    await one.change("agent:2", **start)

    assert one.stable == OLD
    assert one.pods_of(OLD) == 2
    (name,) = rig.twin.names(AGENT_UPGRADE)
    assert one.approved(name) == ("False", "ApprovalRequired")
    await one.approve(name)
    assert (one.phase(name), one.stable) == ("Succeeded", NEW)


async def test_deleting_what_waits_is_no_way_around(rig: Rig) -> None:
    """Not even while the Agent is stopped."""
    one = await waiting(rig, "Manual")
    await one.change("agent:2", replicas=0)

    rig.twin.remove(AGENT_UPGRADE, "greeter-2")
    await one.rest()
    await one.change("agent:2", replicas=2)

    assert (one.stable, one.pods_of(OLD), one.pods_of(NEW)) == (OLD, 2, 0)


async def test_a_stopped_agent_that_needs_no_approval_changes_at_once(rig: Rig) -> None:
    """Nobody is served, so nothing has to be gone about with care."""
    one = Story(rig, "Auto")
    await one.begin()

    await one.change("agent:1", replicas=0)
    await one.change("agent:2")

    assert one.stable == NEW
    assert rig.twin.names(AGENT_UPGRADE) == []
