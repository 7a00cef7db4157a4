"""Nobody approves but who may, by whatever way they write; and nothing else is in anybody's way.

People are users whom kubectl impersonates, with the roles that are installed: Eve edits what is in
the namespace, Ada may approve upgrades and nothing else, Max does both.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.e2e.cluster import Object
from tests.e2e.test_upgrade_words import (
    broken,
    canary,
    change,
    phases,
    quiet,
    sizes,
    step,
    upgrade,
    wait_at_step,
)
from tests.e2e.world import SOON, Command, World, condition, observed

ADA, EVE, MAX = "ada@example.com", "eve@example.com", "max@example.com"
ROLES: Final = {
    "agentherd-agents-view": (EVE, MAX),
    "agentherd-agents-edit": (EVE, MAX),
    "agentherd-agents-approve": (ADA, MAX),
}
SAYS: Final = "agentupgrades/approval"
"""What a refusal by the policies names."""

UNGUARDED: Final = "agentherd.dev/e2e-unguarded"
"""A namespace with this label is one in which the policies are not in force."""


@pytest.fixture(scope="module")
def people(shared_world: World) -> World:
    """The world with Ada, Eve and Max in it, once the API server knows their roles."""
    return populated(shared_world)


def populated(world: World) -> World:
    """Let people into a world."""
    for role, users in ROLES.items():
        subjects = [
            {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
            for user in users
        ]
        world.cluster.create(
            "RoleBinding",
            {
                "metadata": {"name": role, "namespace": world.namespace},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": role,
                },
                "subjects": subjects,
            },
        )
    probe = upgrade("probe", "nobody", approval={"approvedBy": MAX})
    # Nothing tells when the API server has taken in roles and policies, so it is tried out.
    _until(lambda: world_says(world, MAX, "create", probe).code == 0)
    _until(lambda: SAYS in world_says(world, EVE, "create", probe).err)
    return world


def _until(holds: Callable[[], bool], *, within: float = SOON) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not within {within} s"
        time.sleep(0.2)


def world_says(world: World, user: str, verb: str, manifest: Object) -> Command:
    """Try out what a user wants to write; nothing is stored."""
    words = (verb, "--filename=-", f"--as={user}", "--dry-run=server")
    return world.kubectl(*words, stdin=json.dumps(manifest))


def says(world: World, user: str, *words: str, stdin: Object | None = None) -> Command:
    """`kubectl` of a user."""
    text = None if stdin is None else json.dumps(stdin)
    return world.kubectl(*words, f"--as={user}", stdin=text)


def patched(world: World, user: str, name: str, *, kind: str = "agup", **spec: Any) -> Command:
    """`kubectl patch` of a user."""
    patch = json.dumps({"spec": spec})
    return says(world, user, "patch", kind, name, "--type=merge", f"--patch={patch}")


def is_refused(done: Command) -> bool:
    """Whether it was the policies that said no."""
    return done.code != 0 and SAYS in done.err


def approval(found: Object) -> tuple[str, str]:
    """Status and reason of the condition `Approved`."""
    said = condition(found, "Approved")
    assert said is not None, found.get("status")
    return said["status"], said["reason"]


def wait_for_approval(world: World, name: str, reason: str) -> Object:
    """Wait until the condition `Approved` has a reason, for the spec as it stands."""

    def there(seen: Object) -> bool:
        said = condition(seen, "Approved")
        return observed(seen) and said is not None and said["reason"] == reason

    return world.wait_until("AgentUpgrade", name, there)


@pytest.fixture
def waiting(people: World, request: pytest.FixtureRequest) -> tuple[World, str]:
    """An upgrade that Eve has made, and that waits for approval."""
    title = request.node.name.partition("[")[0].removeprefix("test_")
    agent = title[:40].strip("_").replace("_", "-")
    return people, asked_for(people, f"{agent}-{secrets.token_hex(3)}")


def asked_for(world: World, agent: str) -> str:
    """The name of an upgrade of a new Agent, which Eve has made and which waits for approval."""
    name = f"{agent}-up"
    world.apply(quiet(agent, replicas=1, upgradePolicy=canary()))
    world.wait_until_ready(agent)
    wanted = upgrade(name, agent, to={"version": "2.0.0"}, approval={"required": True})
    made = says(world, EVE, "create", "--filename=-", stdin=wanted)
    assert made.code == 0, made.err
    wait_for_approval(world, name, "ApprovalRequired")
    return name


# Ways to write an approval


def by_patch(world: World, name: str, user: str, _: Path) -> Command:
    return patched(world, user, name, approval={"approvedBy": user})


def by_json_patch(world: World, name: str, user: str, _: Path) -> Command:
    patch = json.dumps([{"op": "add", "path": "/spec/approval/approvedBy", "value": user}])
    return says(world, user, "patch", "agup", name, "--type=json", f"--patch={patch}")


def by_replace(world: World, name: str, user: str, _: Path) -> Command:
    return says(world, user, "replace", "--filename=-", stdin=_approved(world, name, user))


def by_apply(world: World, name: str, user: str, _: Path) -> Command:
    manifest = _approved(world, name, user)
    del manifest["metadata"]["resourceVersion"]
    return says(world, user, "apply", "--filename=-", stdin=manifest)


def by_server_side_apply(world: World, name: str, user: str, _: Path) -> Command:
    found = world.upgrade(name)
    spec = {"targetRef": found["spec"]["targetRef"], "approval": {"approvedBy": user}}
    manifest = {key: found[key] for key in ("apiVersion", "kind")}
    manifest |= {"metadata": {"name": name}, "spec": spec}
    words = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    return says(world, user, *words, stdin=manifest)


def by_edit(world: World, name: str, user: str, directory: Path) -> Command:
    editor = directory / "editor"
    editor.write_text(
        f"#!/bin/sh\nsed -i 's/^  approval:$/  approval:\\n    approvedBy: {user}/' $1\n"
    )
    editor.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBE_EDITOR", str(editor))
        return says(world, user, "edit", "agup", name)


def _approved(world: World, name: str, user: str) -> Object:
    found = world.upgrade(name)
    spec = {**found["spec"], "approval": {**found["spec"]["approval"], "approvedBy": user}}
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {**found, "metadata": metadata, "spec": spec}


WAYS: Final = (by_patch, by_json_patch, by_replace, by_apply, by_server_side_apply, by_edit)


@pytest.mark.row("D06")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_person_without_the_permission_cannot_approve(
    waiting: tuple[World, str], tmp_path: Path, way: Callable[..., Command]
) -> None:
    """By none of the ways in which kubectl writes; and one who may can, by the same way."""
    world, name = waiting

    done = way(world, name, EVE, tmp_path)
    after = world.upgrade(name)
    allowed = way(world, name, MAX, tmp_path)
    found = world.wait_upgrade(name, "Succeeded")

    assert is_refused(done), done
    assert after["spec"]["approval"] == {"required": True}
    assert after["status"]["phase"] == "Pending"
    assert allowed.code == 0, allowed.err
    assert found["status"]["approval"]["by"] == MAX


@pytest.mark.row("D06")
def test_one_who_may_approve_need_not_be_one_who_edits(waiting: tuple[World, str]) -> None:
    """The upgrade waited; with the approval it goes on to its end, and tells who gave it."""
    world, name = waiting
    before = world.upgrade(name)

    done = patched(world, ADA, name, approval={"approvedBy": ADA})
    found = world.wait_upgrade(name, "Succeeded")
    deleted = says(world, ADA, "delete", "agup", name)

    assert done.code == 0, done.err
    assert (before["status"]["phase"], approval(before)) == (
        "Pending",
        ("False", "ApprovalRequired"),
    )
    assert approval(found) == ("True", "Approved")
    record = found["status"]["approval"]
    assert (record["by"], record["revision"]) == (ADA, found["status"]["toRevision"])
    assert ("Approved", ADA) in [(c["verb"], c["by"]) for c in found["status"]["controls"]]
    assert deleted.code != 0


@pytest.mark.row("D06")
def test_nobody_approves_in_the_name_of_another(waiting: tuple[World, str]) -> None:
    """Not with the permission either, and not by writing the status."""
    world, name = waiting
    agent = name.removesuffix("-up")

    others = [patched(world, user, name, approval={"approvedBy": ADA}) for user in (EVE, MAX)]
    made = says(
        world,
        EVE,
        "create",
        "--filename=-",
        stdin=upgrade(
            f"{agent}-forged", agent, to={"version": "3.0.0"}, approval={"approvedBy": ADA}
        ),
    )
    record = {"by": ADA, "at": "2026-01-01T00:00:00Z", "revision": "0" * 10}
    forged = json.dumps({"status": {"phase": "Promoting", "approval": record}})
    by_status = says(
        world, EVE, "patch", "agup", name, "--subresource=status", "--type=merge", f"-p={forged}"
    )
    beside = says(world, EVE, "patch", "agup", name, "--type=merge", f"-p={forged}")

    assert all(map(is_refused, others)), others
    assert is_refused(made), made
    assert by_status.code != 0
    assert "agentupgrades/status" in by_status.err
    assert beside.code == 0, beside.err
    found = world.upgrade(name)
    assert found["status"]["phase"] == "Pending"
    assert "approval" not in found["status"]
    assert world.find("AgentUpgrade", f"{agent}-forged") is None


@pytest.mark.row("D06")
def test_what_is_approved_stays_what_it_is(waiting: tuple[World, str]) -> None:
    """It may be steered by everybody who may edit; to change it is to take the approval back."""
    world, name = waiting
    assert patched(world, EVE, name, paused=True).code == 0
    assert patched(world, ADA, name, approval={"approvedBy": ADA}).code == 0
    wait_for_approval(world, name, "Approved")

    other = {"version": "2.0.1"}
    changed = patched(world, EVE, name, to=other)
    relaxed = patched(world, EVE, name, approval={"required": False})
    steered = patched(world, EVE, name, promote={"full": True})
    taken_back = patched(world, EVE, name, to=other, approval={"approvedBy": None})
    found = wait_for_approval(world, name, "ApprovalRequired")
    again = patched(world, EVE, name, approval={"approvedBy": ADA})

    assert is_refused(changed), changed
    assert is_refused(relaxed), relaxed
    assert (steered.code, taken_back.code) == (0, 0), steered.err + taken_back.err
    assert "approval" not in found["status"]
    assert is_refused(again), again


@pytest.mark.row("D06")
def test_an_upgrade_made_anew_is_not_approved(waiting: tuple[World, str]) -> None:
    """Whatever stood in the one that was deleted."""
    world, name = waiting
    assert patched(world, EVE, name, paused=True).code == 0
    assert patched(world, ADA, name, approval={"approvedBy": ADA}).code == 0
    wait_for_approval(world, name, "Approved")
    copy = _approved(world, name, ADA)
    del copy["metadata"]["resourceVersion"]

    deleted = says(world, EVE, "delete", "agup", name)
    made = says(world, EVE, "create", "--filename=-", stdin=copy)

    assert deleted.code == 0, deleted.err
    assert is_refused(made), made
    assert world.find("AgentUpgrade", name) is None


@pytest.mark.row("D06")
def test_manual_waits_before_the_first_pod(people: World) -> None:
    """And whoever may edit the Agent cannot loosen that; the operator writes what it has to."""
    world = people
    world.apply(quiet("manual", replicas=1, upgradePolicy=canary(automation="Manual")))
    world.wait_until_ready("manual")
    old = world.status("manual")["stableRevision"]
    name = change(world, "manual", version="2.0.0")
    found = wait_for_approval(world, name, "ApprovalRequired")

    loosened = [
        patched(world, EVE, "manual", kind="agent", upgradePolicy={"automation": "SemiAuto"}),
        patched(world, EVE, "manual", kind="agent", upgradePolicy={"automation": None}),
        patched(world, EVE, "manual", kind="agent", upgradePolicy=None),
    ]
    stopped = patched(
        world, EVE, "manual", kind="agent", operatingMode="Suspended", version="3.0.0"
    )
    world.wait_for_phase("manual", "Suspended")
    running = patched(world, EVE, "manual", kind="agent", operatingMode="Running", version="2.0.0")
    world.wait_for_condition("manual", "Available", "True")
    (*_, last) = world.upgrades("manual")
    before = (sizes(world, "manual"), world.status("manual")["stableRevision"])
    name = last["metadata"]["name"]
    approved = patched(world, ADA, name, approval={"approvedBy": ADA})
    ended = world.wait_upgrade(name, "Succeeded")

    assert found["status"]["phase"] == "Pending"
    assert all(map(is_refused, loosened)), loosened
    assert (stopped.code, running.code, approved.code) == (0, 0, 0)
    assert before == ({old: 1}, old)
    assert ended["status"]["strategy"]["automation"] == "Manual"
    assert (
        patched(world, MAX, "manual", kind="agent", upgradePolicy={"automation": "Auto"}).code == 0
    )


@pytest.mark.row("D06")
def test_semi_auto_takes_its_steps_and_waits_before_promotion(people: World) -> None:
    """Leave to promote is no approval; a failing version goes back without one."""
    world = people
    policy = canary(step(50), automation="SemiAuto")
    world.apply(quiet("semi", replicas=1, upgradePolicy=policy))
    world.wait_until_ready("semi")
    name = change(world, "semi", version="2.0.0")
    waited = wait_at_step(world, name, 1)
    assert patched(world, EVE, name, promote={"full": True}).code == 0
    held = wait_at_step(world, name, 1)
    assert patched(world, ADA, name, approval={"approvedBy": ADA}).code == 0
    ended = world.wait_upgrade(name, "Succeeded")

    failing = change(world, "semi", template=broken(), version="3.0.0")
    back = world.wait_upgrade(failing, "RolledBack")

    assert approval(waited) == approval(held) == ("False", "ApprovalRequired")
    assert approval(ended) == ("True", "Approved")
    assert phases(ended)[-2:] == ["Promoting", "Succeeded"]
    assert back["status"]["rollback"]["trigger"] == "ImageUnavailable"
    assert "approval" not in back["status"]


@pytest.mark.row("D06")
def test_an_approval_holds_for_the_revision_it_names(waiting: tuple[World, str]) -> None:
    """The message says which one, with the command to approve it."""
    world, name = waiting
    said = condition(world.upgrade(name), "Approved")
    assert said is not None

    outdated = patched(world, ADA, name, approval={"approvedBy": ADA, "revision": "0" * 10})
    found = wait_for_approval(world, name, "ApprovalOutdated")
    command = said["message"].partition("kubectl patch ")[2].replace("YOU", ADA)
    patch = command.partition("-p ")[2].strip("'")
    done = says(world, ADA, "patch", "agup", name, "--type=merge", f"--patch={patch}")
    ended = world.wait_upgrade(name, "Succeeded")

    assert outdated.code == 0, outdated.err
    assert found["status"]["phase"] == "Pending"
    assert done.code == 0, done.err
    assert ended["status"]["approval"]["revision"] == ended["status"]["toRevision"]


@pytest.fixture
def unguarded(world: World) -> Iterator[World]:
    """A world of its own in which the policies are not in force."""
    populated(world)
    kind, name = "ValidatingAdmissionPolicyBinding", "agentherd-approval"
    only = {"matchExpressions": [{"key": UNGUARDED, "operator": "DoesNotExist"}]}
    elsewhere = {"spec": {"matchResources": {"namespaceSelector": only}}}
    world.cluster.patch(kind, name, elsewhere, manager="e2e-unguarded")
    labels = {"metadata": {"labels": {UNGUARDED: "yes"}}}
    world.cluster.patch("Namespace", world.namespace, labels, manager="e2e")
    forged = upgrade("probe", "nobody", approval={"approvedBy": ADA})
    _until(lambda: world_says(world, EVE, "create", forged).code == 0)
    yield world
    world.cluster.patch(kind, name, {"spec": {"matchResources": None}}, manager="e2e-unguarded")


@pytest.mark.row("D06")
def test_without_the_policies_no_name_counts(unguarded: World) -> None:
    """Anybody could have written it, so it says what is missing and waits."""
    world, name = unguarded, asked_for(unguarded, "unguarded")

    done = patched(world, EVE, name, approval={"approvedBy": ADA})
    found = wait_for_approval(world, name, "PolicyMissing")

    assert done.code == 0, done.err
    assert found["status"]["phase"] == "Pending"
    assert "approval" not in found["status"]


def test_the_policies_are_understood(people: World) -> None:
    """The API server has found nothing in them that does not fit the types they are about."""
    file = Path(__file__).parents[2] / "manifests/base/approval-policies.yaml"
    for manifest in yaml.safe_load_all(file.read_text()):
        if manifest["kind"] != "ValidatingAdmissionPolicy":
            continue
        found = people.cluster.wait_until(
            manifest["kind"],
            manifest["metadata"]["name"],
            lambda seen: (
                seen is not None
                and seen.get("status", {}).get("observedGeneration")
                == seen["metadata"]["generation"]
            ),
            within=SOON,
        )
        assert found is not None
        assert found["status"].get("typeChecking", {}) == {}
