"""Objects that record what happens to an Agent: upgrades, and a success in its spec."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.twin.samples import NOON, agent, set_view
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.domain import children
from agentherd.domain.decide import decide
from agentherd.domain.observation import AgentObservation, SeenUpgrade
from agentherd.domain.plan import Create, Delete, Merge, Stage
from agentherd.domain.records import records
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import choose

ONE, TWO = agent(version="1.0.0"), agent(version="2.0.0")
OLD, NEW = revision_of(ONE.spec), revision_of(TWO.spec)
RECORDS = {f"greeter-{r.hash}": kept(one, n) for n, (one, r) in enumerate([(ONE, OLD), (TWO, NEW)])}


def over(name: str, minute: int, **fields: Any) -> SeenUpgrade:
    """An upgrade that the operator has made and that ended in that minute."""
    status = {"phase": "Succeeded", "finishedAt": NOON + timedelta(minutes=minute)}
    return seen_upgrade(name, **{"owned": True, "status": status} | fields)


def forgotten(*upgrades: SeenUpgrade, limit: int = 1, governing: str | None = None) -> list[str]:
    one = agent(revisionHistoryLimit=limit)
    stable = revision_of(one.spec).hash
    seen = upgraded(one, *upgrades, stable=stable, target=stable, governing=governing)
    return [i.name for i in records(seen, choose(seen), None) if isinstance(i, Delete)]


def test_upgrades_beyond_the_limit_are_forgotten() -> None:
    """The oldest first, however they are called."""
    assert forgotten(over("a", 2), over("b", 0), over("c", 1)) == ["b", "c"]
    assert forgotten(over("a", 0), over("b", 0), limit=0) == ["a", "b"]
    assert forgotten(over("a", 2), over("b", 0), limit=2) == []


def test_the_upgrade_that_governs_is_never_forgotten() -> None:
    """It is the reason for what serves."""
    assert forgotten(over("a", 0), over("b", 1), limit=0, governing="a") == ["b"]


def test_what_people_have_created_and_what_has_not_ended_stays() -> None:
    """They remove theirs when they like."""
    waits = over("waits", 0, status={"phase": "Pending"})

    assert forgotten(over("theirs", 0, owned=False), waits, limit=0) == []


def promoting(to: dict[str, Any]) -> AgentObservation:
    """A person's upgrade to the next version, all of whose pods are there."""
    status = {
        "phase": "Promoting",
        "fromRevision": OLD.hash,
        "toRevision": NEW.hash,
        "startedAt": NOON,
        "progressSince": NOON,
    }
    one = seen_upgrade("mine", status=status, to=to, strategy={"type": "BlueGreen"})
    views = [set_view(revision.hash, wanted=1) for revision in (OLD, NEW)]
    return upgraded(
        ONE,
        one,
        stable=OLD.hash,
        target=OLD.hash,
        governing="mine",
        version=17,
        revisions=RECORDS,
        replica_sets={view.name: view for view in views},
    )


def test_a_success_is_written_into_the_spec() -> None:
    """Once, only the fields that differ, and only if nobody changed it meanwhile."""
    intents = decide(promoting({"version": "2.0.0"}), NOON).intents

    (merge,) = [i for i in intents if isinstance(i, Merge)]
    assert (merge.name, merge.version, merge.stage) == ("greeter", 17, Stage.RECORD)
    assert merge.patch == {"spec": {"version": "2.0.0"}}


def test_a_spec_that_asks_for_it_already_is_not_written() -> None:
    """It is the person's."""
    seen = promoting({"revision": NEW.hash})
    one = TWO.model_copy(
        update={"status": seen.agent.status.model_copy(update={"target_revision": NEW.hash})}
    )
    asked = upgraded(
        one,
        *seen.upgrades.values(),
        stable=OLD.hash,
        target=NEW.hash,
        governing="mine",
        revisions=RECORDS,
        replica_sets=seen.replica_sets,
    )

    intents = decide(asked, NOON).intents

    assert not [i for i in intents if isinstance(i, Create | Merge)]


def test_only_the_strategy_of_a_policy_is_written_into_an_upgrade() -> None:
    """The API server knows no other field there; analysis and automation have their own places."""
    policy = {"type": "BlueGreen", "automation": "Manual", "analysis": {"minimumRequests": 5}}

    made = children.upgrade(agent(upgradePolicy=policy), "greeter-2", revision_of(agent().spec))

    assert made["spec"]["strategy"] == {"type": "BlueGreen"}


def test_an_upgrade_is_made_with_the_policy_of_that_moment() -> None:
    """What the Agent says later is for the next one."""
    policy = {"type": "BlueGreen", "scaleDownDelaySeconds": 7}
    one = agent(version="2.0.0", upgradePolicy=policy, metadata={"generation": 2})
    seen = upgraded(one, stable=OLD.hash, target=OLD.hash, revisions=RECORDS)

    (create,) = records(seen, choose(seen), None)

    assert isinstance(create, Create)
    assert create.manifest["spec"] == {
        "targetRef": {"name": "greeter"},
        "to": {"revision": NEW.hash},
        "strategy": policy,
    }
