"""Nobody has pods made that they may not create, by whatever field and kind, and the operator may
do no more than it needs.

People are users whom kubectl impersonates: Lea may write what is ours in the namespace, Rob may
create pods besides. What they want to write is tried out in one request for each of them, and
nothing of it is stored.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import yaml
from tests.e2e.cluster import Object, Refused, path
from tests.e2e.identity import USER
from tests.e2e.operator_process import ROOT
from tests.e2e.sample import agent, template
from tests.e2e.served import PARENT
from tests.e2e.test_approval import _until
from tests.e2e.test_upgrade_words import quiet, upgrade
from tests.e2e.world import START, Command, World

LEA, ROB = "lea@example.com", "rob@example.com"
ROLES: Final = {
    "agentherd-agents-view": (LEA, ROB),
    "agentherd-agents-edit": (LEA, ROB),
    "edit": (ROB,),
}
SAYS: Final = "the permission to create pods in this namespace"
"""What a refusal by the policy names."""

SECRET: Final = {"secretKeyRef": {"name": "s", "key": "k"}}
ELSEWHERE: Final = {"httpGet": {"host": "10.0.0.1", "port": 80}}


def with_pod(**fields: Any) -> Object:
    """The spec of an Agent whose pods have these fields."""
    made = template()
    return {"template": {"spec": {**made["spec"], **fields}}}


def with_container(**fields: Any) -> Object:
    """The spec of an Agent whose container has these fields."""
    return {"template": template(**fields)}


def with_job(**fields: Any) -> Object:
    """The spec of an Agent whose new versions are tried by a Job with these fields."""
    pod = {"automountServiceAccountToken": False, "containers": [{"name": "try", "image": "try"}]}
    job = {"template": {"spec": {**pod, **fields}}}
    return {"upgradePolicy": {"analysis": {"metrics": [{"name": "try", "job": job}]}}}


OPEN: Final[dict[str, Object]] = {
    "plain": {},
    "scratch": with_pod(volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]),
    "variables": with_container(
        env=[
            {"name": "MODE", "value": "calm"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ]
    ),
    "probed": with_container(livenessProbe={"httpGet": {"port": 8080}}),
    "tried": with_job(),
    "left-empty": with_pod(initContainers=None, securityContext=None, volumes=None),
    "left-empty-in-part": with_container(
        env=None, lifecycle=None, livenessProbe=None, securityContext={"capabilities": None}
    ),
}
"""Specs of Agents that everybody may write who may write Agents."""

CLOSED: Final[dict[str, Object]] = {
    "account": with_pod(serviceAccountName="other"),
    "old-account": with_pod(serviceAccount="other"),
    "network": with_pod(hostNetwork=True),
    "processes": with_pod(hostPID=True),
    "node": with_pod(nodeName="control-plane"),
    "priority": with_pod(priorityClassName="system-node-critical"),
    "node-files": with_pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
    "secret-files": with_pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}]),
    "token-files": with_pod(
        volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]
    ),
    "claimed-files": with_pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
    "sysctls": with_pod(securityContext={"sysctls": [{"name": "a", "value": "b"}]}),
    "privileged": with_container(securityContext={"privileged": True}),
    "privileged-init": with_pod(
        initContainers=[{"name": "i", "image": "i", "securityContext": {"privileged": True}}]
    ),
    "capability": with_container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
    "unconfined": with_container(securityContext={"seccompProfile": {"type": "Unconfined"}}),
    "secret-variable": with_container(env=[{"name": "A", "valueFrom": SECRET}]),
    "secret-variables": with_container(envFrom=[{"secretRef": {"name": "s"}}]),
    "node-port": with_container(ports=[{"name": "http", "containerPort": 8080, "hostPort": 80}]),
    "probe": with_container(livenessProbe=ELSEWHERE),
    "hook": with_container(lifecycle={"postStart": ELSEWHERE}),
    "labelled": {"template": {"metadata": {"labels": {"app": "payments"}}, **template()}},
    "annotated": {"template": {"metadata": {"annotations": {"role": "admin"}}, **template()}},
    "job-network": with_job(hostNetwork=True),
    "job-account": with_job(automountServiceAccountToken=True),
}
"""Specs of Agents that only those may write who may create pods."""

OPEN_UPGRADES: Final[dict[str, Object]] = {
    "again": {},
    "versioned": {"to": {"version": "2.0.0"}},
    "configured": {"to": {"config": {"greeting": "Hi"}}},
    "back": {"to": {"revision": "5d0c2a9e41"}},
}
CLOSED_UPGRADES: Final[dict[str, Object]] = {
    "image": {"to": {"image": "other"}},
    "patch": {"to": {"template": {"spec": {"serviceAccountName": "other"}}}},
    "tester": {"analysis": with_job(hostNetwork=True)["upgradePolicy"]["analysis"]},
}
OPEN_VERSIONS: Final[dict[str, Object]] = {
    "made-up": {"image": "model"},
    "by-template": {"template": {"spec": template()["spec"]}},
    "without-marks": {"template": {"metadata": None, "spec": template()["spec"]}},
}
CLOSED_VERSIONS: Final[dict[str, Object]] = {
    "on-the-node": {"template": with_pod(hostNetwork=True)["template"]},
}


def model(name: str, version: Object) -> Object:
    """A ModelDeployment with one version."""
    spec = {"activeVersion": "v1", "versions": [{"name": "v1", **version}]}
    return {
        "apiVersion": "agentherd.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


EVERYTHING: Final[dict[str, Object]] = {
    **{name: agent(name, **spec) for name, spec in (OPEN | CLOSED).items()},
    **{
        name: upgrade(name, "nobody", **spec)
        for name, spec in (OPEN_UPGRADES | CLOSED_UPGRADES).items()
    },
    **{name: model(name, version) for name, version in (OPEN_VERSIONS | CLOSED_VERSIONS).items()},
}


@pytest.fixture(scope="module")
def people(shared_world: World) -> World:
    """The world with Lea and Rob in it, once the API server knows their roles and the policy."""
    world = shared_world
    for role, users in ROLES.items():
        world.cluster.create("RoleBinding", binding(world, role, users))
    probe = agent("probe", **CLOSED["network"])
    _until(lambda: SAYS in says(world, LEA, "create", probe, "--dry-run=server").err)
    _until(lambda: says(world, ROB, "create", probe, "--dry-run=server").code == 0)
    return world


def binding(world: World, role: str, users: tuple[str, ...]) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": role, "namespace": world.namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group} for user in users],
    }


def says(world: World, user: str, verb: str, manifest: Object, *words: str) -> Command:
    """`kubectl create` or `replace` of a user."""
    told = (verb, "--filename=-", f"--as={user}", *words)
    return world.kubectl(*told, stdin=json.dumps(manifest))


def patched(world: World, user: str, name: str, **spec: Any) -> Command:
    """`kubectl patch agent` of a user."""
    patch = json.dumps({"spec": spec})
    return world.kubectl("patch", "ag", name, f"--as={user}", "--type=merge", f"--patch={patch}")


@pytest.fixture(scope="module")
def attempts(people: World) -> dict[str, Command]:
    """What came of it when each of them tried to create everything."""
    everything = {"apiVersion": "v1", "kind": "List", "items": [*EVERYTHING.values()]}
    # Some are no pods that anybody could have; that is told only when they are made.
    words = ("--dry-run=server", "--validate=false")
    return {user: says(people, user, "create", everything, *words) for user in (LEA, ROB)}


def is_refused(done: Command, name: str) -> bool:
    """Whether it was the policy that said no to the object of that name."""
    return any(f'"{name}" is forbidden' in line and SAYS in line for line in done.err.splitlines())


def is_let_through(done: Command, name: str) -> bool:
    return any(f"/{name} created" in line for line in done.out.splitlines())


@pytest.mark.row("L01")
@pytest.mark.parametrize("name", [*CLOSED, *CLOSED_UPGRADES, *CLOSED_VERSIONS])
def test_pods_with_reach_are_for_those_who_may_create_them(
    attempts: dict[str, Command], name: str
) -> None:
    """Whoever may only write Agents would else have them made by the operator."""
    assert is_refused(attempts[LEA], name), attempts[LEA].err
    assert is_let_through(attempts[ROB], name), attempts[ROB].err


@pytest.mark.row("L01")
@pytest.mark.parametrize("name", [*OPEN, *OPEN_UPGRADES, *OPEN_VERSIONS])
def test_pods_that_reach_nothing_are_for_all_who_may_write_agents(
    attempts: dict[str, Command], name: str
) -> None:
    """Else the permission to write Agents would be of no use."""
    assert is_let_through(attempts[LEA], name), attempts[LEA].err
    assert is_let_through(attempts[ROB], name), attempts[ROB].err


@pytest.mark.row("L01")
def test_what_somebody_was_let_write_can_be_steered_and_not_changed(people: World) -> None:
    """Lea may not give another program to pods that run as somebody."""
    world = people
    made = quiet("steered", replicas=0)
    made["spec"]["template"]["spec"]["serviceAccountName"] = "other"
    assert says(world, ROB, "create", made).code == 0
    image = {"spec": {"containers": [{**template()["spec"]["containers"][0], "image": "other"}]}}

    steered = patched(world, LEA, "steered", config={"greeting": "Hi"}, drain={"delaySeconds": 1})
    changed = patched(world, LEA, "steered", template=image)
    freed = patched(world, LEA, "steered", template={"spec": {"serviceAccountName": None}})

    assert steered.code == 0, steered.err
    assert changed.code != 0
    assert SAYS in changed.err
    assert freed.code == 0, freed.err


@pytest.mark.row("L01")
def test_what_rob_asks_for_is_written_by_the_operator(people: World) -> None:
    """It is held to the same policy, and needs no exception: ReplicaSets are what it makes."""
    world = people
    account = {"metadata": {"name": "mine", "namespace": world.namespace}}
    world.cluster.create("ServiceAccount", account)
    world.apply(quiet("asked", replicas=1))
    world.wait_until_ready("asked")
    to = {"template": {"spec": {"serviceAccountName": "mine"}}}

    assert says(world, ROB, "create", upgrade("asked-up", "asked", to=to)).code == 0
    world.wait_upgrade("asked-up", "Succeeded")

    written = world.get("Agent", "asked")["spec"]["template"]["spec"]
    assert written["serviceAccountName"] == "mine"


@pytest.mark.row("L01")
def test_nothing_runs_as_an_account_that_has_the_name_by_chance(people: World) -> None:
    """Who may write Agents chooses their names, and an account may have been called so before."""
    world = people
    account = {"metadata": {"name": "agentherd-chosen", "namespace": world.namespace}}
    world.cluster.create("ServiceAccount", account)

    assert says(world, LEA, "create", quiet("chosen", replicas=1)).code == 0
    world.wait_for_condition("chosen", "Stalled", "True", within=10)

    assert world.children("chosen", "ReplicaSet") == []


def test_what_an_agent_does_not_need_any_more_is_removed(people: World) -> None:
    """So each verb by which the operator removes is one that it has a use for."""
    world = people
    account = {"metadata": {"name": "own", "namespace": world.namespace}}
    world.cluster.create("ServiceAccount", account)
    traffic = {"protocol": "GRPC", "parentRefs": [PARENT], "settleSeconds": 0}
    rich = {"config": {"greeting": "Hi"}, "configUpdate": "InPlace", "traffic": traffic}
    world.apply(quiet("tidy", replicas=1, revisionHistoryLimit=0, **rich))
    world.wait_until_ready("tidy")

    for version in ("2.0.0", "3.0.0"):
        poor = quiet("tidy", replicas=1, revisionHistoryLimit=0, version=version)
        poor["spec"]["template"]["spec"]["serviceAccountName"] = "own"
        world.apply(poor)
        world.wait_upgrade(f"tidy-{version[0]}", "Succeeded")

    for kind, name in (
        ("GRPCRoute", "tidy"),
        ("ConfigMap", "agentherd-tidy"),
        ("ServiceAccount", "agentherd-tidy"),
        ("AgentUpgrade", "tidy-2"),
    ):
        # What pods of a former version may need goes after the last of them.
        world.wait_until_gone(kind, name, within=START)


@pytest.mark.row("L01")
def test_the_operator_can_read_no_secret_and_open_no_door(people: World) -> None:
    """What its role does not say is refused, for it runs as whom the chart makes."""
    world = people

    listed = world.kubectl("auth", "can-i", "--list", f"--as={USER}")
    secrets = world.kubectl("get", "secrets", f"--as={USER}")
    pods = world.kubectl("run", "x", "--image=x", "--dry-run=server", f"--as={USER}")

    assert not any("*" in line.split() for line in listed.out.splitlines())
    assert "secrets is forbidden" in secrets.err
    assert "pods is forbidden" in pods.err


@pytest.mark.row("L05")
def test_the_pod_of_the_operator_is_restricted(people: World) -> None:
    """The namespace of the tests enforces the restricted Pod Security Standard."""
    text = (ROOT / "manifests/base/deployment.yaml").read_text()
    pod = yaml.safe_load(text)["spec"]["template"]
    # No account of its name is here, which says nothing about the standard.
    spec = {**pod["spec"], "serviceAccountName": "default"}
    manifest = {"metadata": {"name": "operator", "namespace": people.namespace}, "spec": spec}
    root = {**spec, "securityContext": {"runAsUser": 0}}

    made = tried(people, manifest)

    assert made["metadata"]["name"] == "operator"
    with pytest.raises(Refused, match="restricted"):
        tried(people, {**manifest, "spec": root})


def tried(world: World, pod: Object) -> Object:
    """What the API server makes of a pod, without storing it."""
    return world.cluster.send(
        "POST", path("Pod", world.namespace), query={"dryRun": "All"}, body=pod
    )
