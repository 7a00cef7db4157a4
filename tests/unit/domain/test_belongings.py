"""Which children an Agent keeps: those of revisions in use, and those that all of them share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.twin.samples import agent, set_view
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.api import Agent
from agentherd.domain import children
from agentherd.domain.belongings import agent_children, obsolete
from agentherd.domain.kinds import CONFIG_MAP, companion_name
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete
from agentherd.domain.revision import Revision, revision_of
from agentherd.domain.upgrades.change import choose
from agentherd.domain.views import Child

SHARED = companion_name("greeter")


def child(name: str = SHARED, **fields: Any) -> Child:
    known = {"namespace": "default", "uid": "u", "version": 1, "workload": "greeter", "applied": ""}
    state = {"owner": "uid-of-greeter", "touched": False, "deleting": False}
    return Child(**{**known, **state, "name": name, **fields})


def written(
    one: Agent, *revisions: Revision, alone: bool = True, sizes: Any = None, **seen: Any
) -> dict[str, type[Any]]:
    """What is done to which child, as `Kind name`."""
    found = agent_children(
        AgentObservation(agent=one, **seen),
        revisions,
        goal=revisions[-1],
        sizes=sizes or {},
        alone=alone,
    )
    return {str(intent.ref): type(intent) for intent in found}


ROLLOUT = agent(config={"a": "1"})
IN_PLACE = agent(config={"a": "1"}, configUpdate="InPlace")
OWN_ACCOUNT = agent(
    template={"spec": {"serviceAccountName": "mine", "containers": [{"name": "a", "image": "a"}]}}
)


def of(one: Agent) -> Revision:
    return revision_of(one.spec)


def test_every_revision_that_is_kept_has_its_children() -> None:
    """Each its config, its record and its pods."""
    other = agent(config={"a": "1"}, version="2.0.0")

    made = written(other, of(ROLLOUT), of(other), alone=False)

    for revision in (of(ROLLOUT), of(other)):
        for kind in ("ConfigMap", "ControllerRevision", "ReplicaSet"):
            assert made[f"{kind} greeter-{revision.hash}"] is Apply


def test_a_replica_set_is_made_in_its_size() -> None:
    """One that has none is to have no pods."""
    seen = AgentObservation(agent=ROLLOUT)
    revision = of(ROLLOUT)

    (made,) = [
        intent
        for intent in agent_children(
            seen, [revision], goal=revision, sizes={revision.hash: 3}, alone=True
        )
        if isinstance(intent, Apply) and intent.kind.name == "ReplicaSet"
    ]

    assert made.unhashed == {"spec": {"replicas": 3}}


def test_nothing_follows_from_a_template_that_is_refused() -> None:
    """Other revisions are none the worse for it."""
    container = {"name": "a", "image": "a", "env": [{"name": "AGENTHERD_AGENT"}]}
    bad = agent(template={"spec": {"containers": [container]}})

    assert written(bad, of(bad)) == {}
    assert f"ReplicaSet greeter-{of(ROLLOUT).hash}" in written(bad, of(ROLLOUT), of(bad))


def test_the_identity_of_pods_stays_while_any_of_them_may_need_it() -> None:
    """And goes when none can."""
    accounts = {"service_accounts": {SHARED: child()}}

    early = written(OWN_ACCOUNT, of(OWN_ACCOUNT), alone=False, **accounts)
    late = written(OWN_ACCOUNT, of(OWN_ACCOUNT), alone=True, **accounts)

    assert f"ServiceAccount {SHARED}" not in early
    assert late[f"ServiceAccount {SHARED}"] is Delete


def test_the_identity_of_pods_is_kept_for_the_one_of_two_that_needs_it() -> None:
    """The other one names its own."""
    made = written(OWN_ACCOUNT, of(OWN_ACCOUNT), of(ROLLOUT), alone=False)

    assert made[f"ServiceAccount {SHARED}"] is Apply


def test_the_shared_config_goes_when_no_revision_can_read_it() -> None:
    """It is of an earlier way to update."""
    maps = {"config_maps": {SHARED: child()}}

    assert written(ROLLOUT, of(ROLLOUT), **maps)[f"ConfigMap {SHARED}"] is Delete
    assert f"ConfigMap {SHARED}" not in written(ROLLOUT, of(ROLLOUT), alone=False, **maps)
    assert written(IN_PLACE, of(IN_PLACE), **maps)[f"ConfigMap {SHARED}"] is Apply


def test_an_upgrade_away_from_reloading_leaves_the_config_of_those_that_reload() -> None:
    """They would get what only the new version is to have, and keep it after a rollback."""
    other = agent(config={"a": "2"})
    revisions = (of(IN_PLACE), of(other))

    kept_as_it_is = written(other, *revisions, alone=False, config_maps={SHARED: child()})
    lost = written(other, *revisions, alone=False)

    assert f"ConfigMap {SHARED}" not in kept_as_it_is
    assert lost[f"ConfigMap {SHARED}"] is Apply


def test_an_in_place_revision_without_config_leaves_none_behind() -> None:
    """A spec that brings some is another revision's."""
    before = of(agent(configUpdate="InPlace"))

    assert f"ConfigMap {SHARED}" not in written(ROLLOUT, before, of(ROLLOUT))


def test_a_budget_follows_the_number_of_pods() -> None:
    """A single pod could never be moved."""
    budgets = {"disruption_budgets": {SHARED: child()}}
    many, one = agent(replicas=2), agent(replicas=1)

    assert written(many, of(many))[f"PodDisruptionBudget {SHARED}"] is Apply
    assert written(one, of(one), **budgets)[f"PodDisruptionBudget {SHARED}"] is Delete


def numbers(seen: AgentObservation, *revisions: Revision) -> list[int]:
    found = agent_children(seen, revisions, goal=revisions[-1], sizes={}, alone=True)
    manifests = [i.manifest for i in found if isinstance(i, Apply)]
    return [m["revision"] for m in manifests if m["kind"] == "ControllerRevision"]


def test_a_revision_that_is_asked_for_again_becomes_the_newest() -> None:
    """As with a Deployment; the one that only serves keeps its number."""
    old, new = agent(), agent(version="2.0.0")
    revisions = {f"greeter-{of(one).hash}": kept(one, n) for n, one in enumerate((old, new), 1)}
    seen = AgentObservation(agent=old, revisions=revisions)

    assert numbers(seen, of(new), of(old)) == [2, 3]


# What is beyond the limit


def removed(seen: AgentObservation) -> list[str]:
    choice = choose(seen)
    return [str(i.ref) for i in obsolete(seen, choice, seen.agent.status)]


VERSIONS = [agent(version=f"{n}.0.0", revisionHistoryLimit=0) for n in (1, 2, 3)]
RECORDS = {f"greeter-{of(one).hash}": kept(one, n) for n, one in enumerate(VERSIONS, 1)}


def test_revisions_beyond_the_limit_are_removed() -> None:
    """But not the one that serves, nor any that has pods."""
    first, second, third = (of(one).hash for one in VERSIONS)
    sets = {f"greeter-{first}": set_view(first, wanted=0)}
    seen = upgraded(VERSIONS[2], stable=third, target=third, revisions=RECORDS, replica_sets=sets)
    running = replace(seen, replica_sets={f"greeter-{first}": set_view(first, replicas=1)})

    assert removed(seen) == [
        f"ReplicaSet greeter-{first}",
        f"ControllerRevision greeter-{first}",
        f"ControllerRevision greeter-{second}",
    ]
    assert removed(running) == [f"ControllerRevision greeter-{second}"]


def test_a_revision_that_a_running_upgrade_may_return_to_is_kept() -> None:
    """However long ago it was."""
    first, second, third = (of(one).hash for one in VERSIONS)
    status = {"phase": "Promoting", "fromRevision": first, "toRevision": third}
    one = seen_upgrade("greeter-3", owned=True, status=status)
    seen = upgraded(
        VERSIONS[2], one, stable=third, target=third, governing="greeter-3", revisions=RECORDS
    )

    assert removed(seen) == [f"ControllerRevision greeter-{second}"]


def test_a_revision_that_an_upgrade_names_is_kept_until_it_has_had_its_turn() -> None:
    """What runs before it makes another revision, and may push the one that is wanted out."""
    first, second, third = (of(one).hash for one in VERSIONS)
    status = {"phase": "Progressing", "fromRevision": third, "toRevision": third}
    runs = seen_upgrade("runs", status=status)
    way_back = seen_upgrade("back", to={"revision": first})
    over = seen_upgrade("back", to={"revision": first}, status={"phase": "Superseded"})
    seen = upgraded(
        VERSIONS[2], runs, way_back, stable=third, target=third, governing="runs", revisions=RECORDS
    )
    later = replace(seen, upgrades={"runs": runs, "back": over})

    assert removed(seen) == [f"ControllerRevision greeter-{second}"]
    assert f"ControllerRevision greeter-{first}" in removed(later)


def test_children_of_an_earlier_agent_are_left_to_the_garbage_collector() -> None:
    """Their uid is another's."""
    third = of(VERSIONS[2]).hash
    seen = upgraded(VERSIONS[2], stable=third, target=third, revisions=RECORDS)
    others = {name: replace(view, owner="somebody") for name, view in RECORDS.items()}

    assert removed(replace(seen, revisions=others)) == []


def test_a_config_goes_with_its_revision() -> None:
    """It is immutable, so nobody could use it for anything else."""
    first, _, third = (of(one).hash for one in VERSIONS)
    name = f"greeter-{first}"
    seen = upgraded(VERSIONS[2], stable=third, target=third, revisions=RECORDS)

    found = removed(replace(seen, config_maps={name: child(name)}))

    assert f"{CONFIG_MAP.name} {name}" in found


def test_the_records_hold_what_the_manifests_say() -> None:
    """Else a revision that is gone back to would not be the one that it was."""
    made = children.controller_revision(VERSIONS[0], of(VERSIONS[0]), 1)

    assert kept(VERSIONS[0]).data == made["data"]
