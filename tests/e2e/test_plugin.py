"""`kubectl agentherd` as people call it: by kubectl, with a kubeconfig, on a real cluster."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from select import select
from typing import Any, Final

import pytest
import yaml
from tests.e2e.api_proxy import ApiProxy
from tests.e2e.cluster import Cluster, Object
from tests.e2e.network import cluster_network
from tests.e2e.served import load, routed, wait_until_sent
from tests.e2e.served import step as served_step
from tests.e2e.test_upgrade_words import (
    broken,
    canary,
    change,
    controls,
    quiet,
    step,
    wait_at_step,
)
from tests.e2e.world import SOON, START, Command, World, _kubectl

THREE_STEPS: Final = canary(step(10), step(30), step(50))
CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Person:
    """Somebody with a kubeconfig, who works in a namespace."""

    kubeconfig: str | None
    namespace: str
    enter: tuple[str, ...] = ()

    def words(self, *words: str) -> list[str]:
        chosen = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        place = [*chosen, f"--namespace={self.namespace}"]
        return [*self.enter, _kubectl(), "agentherd", *words, *place]

    def run(self, *words: str, **environment: str) -> Command:
        """`kubectl agentherd`, into a pipe."""
        ended = subprocess.run(
            self.words(*words),
            env=_environment(**environment),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in ended.stderr
        return Command(ended.returncode, ended.stdout, ended.stderr)

    def does(self, *words: str) -> str:
        """The same, where it has to succeed; what was printed."""
        ended = self.run(*words)
        assert ended.code == 0, ended.err
        return ended.out

    def data(self, *words: str) -> Any:
        """What a program gets."""
        return json.loads(self.does(*words, "-o", "json"))

    @contextmanager
    def watching(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`kubectl agentherd` while it runs, with its output in a pipe."""
        process = subprocess.Popen(
            self.words(*words),
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _environment(**more: str) -> dict[str, str]:
    """The environment of a person, in whatever terminal the tests themselves are run."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    terminal = {"COLUMNS", "LINES", "NO_COLOR", "TERM"}
    rest = {name: value for name, value in os.environ.items() if name not in terminal}
    return {**rest, "PATH": path, **more}


@pytest.fixture
def me(shared_world: World) -> Person:
    """Whoever runs the tests, who may do everything."""
    return Person(shared_world.cluster.kubeconfig, shared_world.namespace)


@pytest.fixture
def begun(shared_world: World, request: pytest.FixtureRequest) -> tuple[World, str, str]:
    """An Agent with an upgrade that waits at its first step: the world and both names."""
    title = request.node.name.removeprefix("test_")
    name = re.sub("[^a-z0-9]+", "-", title)[:40].strip("-")
    shared_world.apply(quiet(name, upgradePolicy=THREE_STEPS))
    shared_world.wait_until_ready(name)
    upgraded = change(shared_world, name, version="2.0.0")
    wait_at_step(shared_world, upgraded, 1)
    return shared_world, name, upgraded


def somebody(world: World, directory: Path, name: str, *rules: Object) -> Person:
    """A person with these permissions in the namespace of the test, and no others."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": [*rules],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": world.namespace}],
    }
    for each in (account, role, binding):
        applied = world.kubectl("apply", "--filename=-", stdin=json.dumps(each))
        assert applied.code == 0, applied.err
    token = world.kubectl("create", "token", name).out.strip()
    config = json.loads(
        world.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").out
    )
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    file = directory / f"{name}.kubeconfig"
    file.write_text(json.dumps(config))
    return Person(str(file), world.namespace)


READ: Final = {
    "apiGroups": ["agentherd.dev"],
    "resources": ["agents", "agentupgrades"],
    "verbs": ["get", "list", "watch"],
}
STEER: Final = {
    "apiGroups": ["agentherd.dev"],
    "resources": ["agentupgrades"],
    "verbs": ["patch", "update"],
}
APPROVE: Final = {
    "apiGroups": ["agentherd.dev"],
    "resources": ["agentupgrades/approval"],
    "verbs": ["update"],
}


def test_kubectl_knows_the_plugin_and_completes_it(begun: tuple[World, str, str]) -> None:
    """Names of objects included."""
    world, name, upgrade = begun
    environment = _environment(KUBECONFIG=world.cluster.kubeconfig or "")

    def ask(*words: str) -> str:
        return subprocess.run(
            [_kubectl(), *words], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "kubectl-agentherd" in ask("plugin", "list")
    place = ("-n", world.namespace)
    offered = ask("__complete", "agentherd", "pause", *place, upgrade)
    assert offered.splitlines()[0].startswith(f"{upgrade}\tAgentUpgrade Paused")
    assert name in ask("__complete", "agentherd", "pause", *place, name)


def test_a_person_pauses_resumes_and_promotes(begun: tuple[World, str, str], me: Person) -> None:
    """Each verb has its effect once, and is remembered with the name of the plugin."""
    world, name, upgrade = begun

    me.does("pause", upgrade)
    again = me.does("pause", name)
    # A pause that is over before the operator has seen it is not remembered by anybody.
    held = world.wait_until("AgentUpgrade", upgrade, lambda seen: ("Paused", "") in controls(seen))
    me.does("resume", upgrade)
    me.does("promote", f"agent/{name}")
    wait_at_step(world, upgrade, 2)
    me.does("promote", upgrade, "--step", "2")
    wait_at_step(world, upgrade, 3)
    me.does("promote", upgrade, "--full")
    found = world.wait_upgrade(upgrade, "Succeeded")

    assert "paused already" in again
    assert held["status"]["weight"] == 10
    assert [verb for verb, _ in controls(found)][:2] == ["Paused", "Resumed"]
    assert ("Promoted", "full") in controls(found)
    assert {done["by"] for done in found["status"]["controls"]} == {"kubectl-agentherd"}
    ended = me.run("pause", upgrade)
    assert (ended.code, ended.out) == (1, "")
    assert "has ended (Succeeded)" in ended.err


def test_a_person_aborts_and_tries_again(begun: tuple[World, str, str], me: Person) -> None:
    """The watch tells how it ended, `explain` why, and `retry` begins anew."""
    world, _, upgrade = begun

    with me.watching("watch", upgrade) as watch:
        me.does("abort", upgrade, "--reason", "customers complain")
        lines, _ = watch.communicate(timeout=60)
    why = me.does("explain", upgrade)
    data = me.data("explain", upgrade)
    late = me.run("abort", upgrade)
    me.does("retry", upgrade)
    retried = wait_at_step(world, upgrade, 1)

    assert "has ended (RolledBack)" in late.err
    assert watch.returncode == 3
    assert "RolledBack" in lines
    assert not CONTROL.search(lines)
    assert "Requested: customers complain" in why
    assert "asked for by kubectl-agentherd" in why
    assert data["rollback"]["trigger"] == "Requested"
    assert retried["status"]["attempt"] == 2
    assert ("Retried", "attempt 2") in controls(retried)


def test_a_person_undoes_what_has_succeeded_and_goes_further_back(
    shared_world: World, me: Person
) -> None:
    """By the upgrade, or by a revision that is kept."""
    world, policy = shared_world, {"type": "BlueGreen", "scaleDownDelaySeconds": 0}
    world.apply(quiet("undone", upgradePolicy=policy))
    first = world.wait_until_ready("undone")["status"]["stableRevision"]
    second = change(world, "undone", version="2.0.0")
    world.wait_upgrade(second, "Succeeded")
    third = change(world, "undone", version="3.0.0")
    world.wait_upgrade(third, "Succeeded")

    late = me.run("rollback", second)
    me.does("rollback", third, "--reason", "too slow")
    back = world.wait_upgrade(third, "RolledBack")
    told = me.does("rollback", "undone", "--to-revision", first, "--reason", "it was better")
    again = me.run("rollback", "undone", "--to-revision", first)
    made = told.split()[0]
    watched = me.run("watch", f"upgrade/{made}")
    found = world.upgrade(made)
    serves = world.status("undone")["stableRevision"]
    wrong = me.run("rollback", "undone", "--to-revision", first[:-1] + "x")

    assert "--to-revision" in late.err
    assert back["status"]["rollback"]["reason"] == "too slow"
    assert watched.code == 0
    assert again.code == 0 or "is the one that serves" in again.err
    assert serves == first
    assert found["metadata"]["annotations"]["kubernetes.io/change-cause"] == "it was better"
    assert "keeps no revision" in wrong.err


def test_an_upgrade_that_cannot_start_is_explained(shared_world: World, me: Person) -> None:
    """What the kubelet says stands in the first lines."""
    shared_world.apply(quiet("unstartable", upgradePolicy=THREE_STEPS))
    shared_world.wait_until_ready("unstartable")
    upgrade = change(shared_world, "unstartable", template=broken())

    watched = me.run("watch", "agent/unstartable")
    why = me.does("explain", "unstartable")
    family = me.does("tree", "unstartable")

    assert watched.code == 3
    assert upgrade in watched.out
    assert "ImageUnavailable" in why
    assert "ImageUnavailable" in family


def test_feedback_of_several_stays(begun: tuple[World, str, str], me: Person) -> None:
    """Who speaks twice is heard with the last word, and nobody overwrites another one."""
    world, name, upgrade = begun

    me.does("feedback", name, "--rating", "2", "--comment", "slow", "--from", "ada")
    me.does("feedback", name, "--rating", "5", "--from", "bob")
    me.does("feedback", name, "--rating", "4", "--from", "ada")
    own = me.does("feedback", name, "--rating", "5")
    given = world.upgrade(upgrade)["spec"]["feedback"]

    assert [(each["from"], each["rating"]) for each in given][:2] == [("bob", 5), ("ada", 4)]
    assert own.startswith(given[2]["from"])
    assert "4 of 5" in me.does("explain", name)


def test_what_is_there_is_shown(begun: tuple[World, str, str], me: Person) -> None:
    """In words and as data, of one, of all, and of all namespaces."""
    world, name, upgrade = begun

    table, one = me.does("status"), me.does("status", name)
    data, family = me.data("status", name), me.data("tree", name)
    drawn = me.does("tree", name)
    everywhere = subprocess.run(
        [part for part in me.words("status", "-A") if not part.startswith("--namespace")],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = yaml.safe_load(me.does("status", "-o", "yaml"))

    assert re.search(rf"^{name} .* {upgrade} +Paused +1/3 +10 %", table, re.MULTILINE)
    assert f"upgrade {upgrade}  Paused" in one
    assert (data["upgrade"]["upgrade"], data["upgrade"]["phase"]) == (upgrade, "Paused")
    pods = {pod["metadata"]["name"] for pod in world.pods(name)}
    assert {pod["name"] for each in family["revisions"] for pod in each["pods"]} == pods
    assert all(pod in drawn for pod in pods)
    assert world.namespace in everywhere
    assert name in {each["agent"] for each in listed}
    for text in (table, one, drawn, everywhere):
        assert not CONTROL.search(text)


def test_a_narrow_terminal_shows_a_watch_that_a_person_may_leave(
    begun: tuple[World, str, str], me: Person
) -> None:
    """One picture that changes, in 40 columns; the upgrade goes on without whoever watched."""
    world, name, upgrade = begun
    near, far = pty.openpty()
    ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 40, 0, 0))
    process = subprocess.Popen(
        me.words("watch", name),
        env=_environment(TERM="xterm", NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        stdout=far,
        stderr=far,
        start_new_session=True,
        preexec_fn=_minds_ctrl_c,
    )
    os.close(far)
    shown = _read_until(near, "Paused")
    me.does("promote", upgrade)
    shown += _read_until(near, "step 2 of 3")
    process.send_signal(signal.SIGINT)
    shown += _rest_of(near, within=SOON)
    code = process.wait(timeout=SOON)
    os.close(near)

    assert code == 130
    assert world.upgrade(upgrade)["status"]["phase"] in {"Paused", "Progressing"}
    text = shown.decode()
    lines = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 40
    assert not re.search("\x1b\\[[0-9;]*3[1-6]m", text)


def test_a_watch_outlives_an_api_server_that_is_away(
    begun: tuple[World, str, str], me: Person, cluster: Cluster, tmp_path: Path
) -> None:
    """It says so, and tells afterwards what has happened meanwhile."""
    world, _, upgrade = begun
    with ApiProxy(upstream=cluster.kubeconfig, kubeconfig=tmp_path / "proxied") as proxy:
        far = Person(str(proxy.kubeconfig), me.namespace, cluster_network().enter)
        with far.watching("watch", upgrade) as watch:
            assert watch.stdout is not None
            first = watch.stdout.readline()
            proxy.cut()
            told = _lines_until(watch, "no answer from")
            me.does("promote", upgrade, "--full")
            world.wait_upgrade(upgrade, "Succeeded")
            proxy.mend()
            rest, _ = watch.communicate(timeout=60)

    assert upgrade in first
    assert "is it running" in told
    assert "Succeeded" in rest
    assert watch.returncode == 0


def test_nobody_is_shown_a_traceback_for_want_of_permission(
    begun: tuple[World, str, str], tmp_path: Path
) -> None:
    """Who may only look is told what is missing; who may not even look, too."""
    world, name, upgrade = begun
    nobody, reader = somebody(world, tmp_path, "nobody"), somebody(world, tmp_path, "reader", READ)

    for words in (["status"], ["watch", name], ["pause", upgrade], ["explain", upgrade]):
        ended = nobody.run(*words)
        assert (ended.code, ended.out) == (1, "")
        assert "is forbidden" in ended.err
        assert "ask whoever runs the cluster" in ended.err
    for words in (["pause"], ["abort"], ["promote"], ["feedback", "--rating", "1"]):
        ended = reader.run(*words, upgrade)
        assert (ended.code, ended.out) == (1, "")
        assert 'cannot patch resource "agentupgrades"' in ended.err
    assert f"upgrade {upgrade}" in reader.does("status", name)
    assert world.upgrade(upgrade)["spec"].get("paused", False) is False


def test_a_wrong_context_and_a_wrong_name_are_told(me: Person, tmp_path: Path) -> None:
    """With what there is instead."""
    nowhere = tmp_path / "kubeconfig"
    dead = {"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}
    context = {"name": "dead", "context": {"cluster": "c", "user": ""}}
    nowhere.write_text(json.dumps({**dead, "contexts": [context], "current-context": "dead"}))

    wrong = me.run("status", "--context", "nowhere")
    gone = Person(str(nowhere), "default").run("status")
    missing = me.run("explain", "nobody-knows-me")

    assert "has no context nowhere" in wrong.err
    assert "the cluster of context dead" in gone.err
    assert "has no Agent or upgrade" in missing.err
    assert {wrong.code, gone.code, missing.code} == {1}


def test_only_who_may_approve_can_do_it_with_the_plugin(
    shared_world: World, tmp_path: Path
) -> None:
    """The others are told which permission they need; the record names who it was."""
    world = shared_world
    steerer = somebody(world, tmp_path, "steerer", READ, STEER)
    approver = somebody(world, tmp_path, "approver", READ, STEER, APPROVE)
    policy = {**THREE_STEPS, "automation": "Manual"}
    world.apply(quiet("approved", upgradePolicy=policy))
    world.wait_until_ready("approved")
    upgrade = change(world, "approved", version="2.0.0")
    world.wait_until(
        "AgentUpgrade", upgrade, lambda seen: "needs approval" in json.dumps(seen.get("status", {}))
    )

    refused = steerer.run("approve", upgrade)
    told = approver.does("approve", upgrade)
    found = wait_at_step(world, upgrade, 1)
    again = approver.does("approve", upgrade)

    who = f"system:serviceaccount:{world.namespace}:approver"
    assert refused.code == 1
    assert "agentupgrades/approval" in refused.err
    assert who in told
    assert found["status"]["approval"]["by"] == who
    assert found["spec"]["approval"]["revision"] == found["status"]["toRevision"]
    assert "already" in again


def test_what_was_measured_is_explained_and_drawn(world: World, tmp_path: Path) -> None:
    """Requests of both sides, the verdict, and a chart with a column for each look."""
    me = Person(world.cluster.kubeconfig, world.namespace)
    policy = canary(served_step(50, waits=True))
    world.apply(routed(world, "a", upgradePolicy=policy, metrics={"port": "http"}))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a", version="2.0.0")
        world.wait_until(
            "AgentUpgrade",
            upgrade,
            lambda seen: len(seen.get("status", {}).get("analysis", {}).get("looks", ())) > 3,
            within=START,
        )
        wait_until_sent(world, running, 100)
        data = me.data("explain", upgrade)
        why = me.does("explain", upgrade)
        drawn = me.run("chart", upgrade, COLUMNS="40").out
        running.stop()

    assert data["analysis"]["canary"]["requests"] > 0
    assert data["strengths"]["errors"] < 1000
    assert re.search(r"^new +\d+ +\d+", why, re.MULTILINE)
    assert "rollback score" in why
    assert "mean latency" in drawn
    assert max(map(len, drawn.splitlines())) <= 40


def test_a_version_that_fails_more_is_watched_explained_and_drawn(
    world: World, tmp_path: Path
) -> None:
    """From the first request to the reason, for whoever is called at night."""
    me = Person(world.cluster.kubeconfig, world.namespace)
    policy = canary(served_step(50, waits=True), analysis={"warmUpSeconds": 1})
    world.apply(routed(world, "a", upgradePolicy=policy, metrics={"port": "http"}))
    world.wait_until_ready("a")

    with load(world, "a", tmp_path) as running:
        upgrade = change(world, "a", version="2.0.0", config={"errorRate": "0.3"})
        watched = me.run("watch", "agent/a")
        running.stop()
    why, data = me.does("explain", "a"), me.data("explain", "a")
    drawn = me.run("chart", upgrade, COLUMNS="60").out

    assert watched.code == 3
    assert "verdict Fail" in watched.out
    # A watch that has begun late tells of the end alone.
    assert "RolledBack: ErrorRate: the new version fails more often" in watched.out
    assert "ErrorRate: the new version fails more often" in why
    assert "more errors  ██████████  100.0 %" in why
    assert data["rollback"]["trigger"] == "ErrorRate"
    assert re.search(r"^errors  max [1-9]", drawn, re.MULTILINE)


def _read_until(terminal: int, word: str) -> bytes:
    """What a terminal shows up to a word; it may end in the middle of a character."""
    found = b""
    while word.encode() not in found:
        part = os.read(terminal, 65536)
        assert part, found
        found += part
    return found


def _minds_ctrl_c() -> None:
    """As in a terminal, also where the tests run in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _rest_of(terminal: int, *, within: float) -> bytes:
    """What a terminal shows until nobody has it any more; unread, it would hold up who writes."""
    found = b""
    end = time.monotonic() + within
    with suppress(OSError):  # that is how its end is told
        while select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            found += os.read(terminal, 65536)
    return found


def _lines_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"it ended without {word}")
