"""The chart for the whole cluster, from its install to the last thing that is left of it.

An operator for the whole cluster would do the work of those of the end-to-end tests, and to remove
the definitions removes every Agent there is. So this is no test of theirs: it runs alone, and on no
cluster but the project's own.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from devcluster.providers import Origin, find
from tests.e2e import models
from tests.e2e.cluster import Cluster
from tests.e2e.release import NAME, Release
from tests.e2e.served import (
    NEW,
    UNJUDGED,
    canary,
    change,
    load,
    routed,
    step,
    wait_until_only,
    wait_until_sent,
)
from tests.e2e.world import World, identity
from tests.installing.rendering import program, run
from tests.load.report import Report
from tests.long.figures import Outcome
from tests.long.place import CRDS, RESTRICTED, Disturbed

QUICKLY: Final = canary(step(20, seconds=2), step(50, seconds=2), analysis=UNJUDGED)

OURS: Final = "app.kubernetes.io/part-of=agentherd"
BY_HELM: Final = f"{OURS},app.kubernetes.io/managed-by=Helm"
"""What the tests have put on the cluster under names of their own says who did so."""

OF_THE_CLUSTER: Final = (
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
)
OF_EVERYBODY: Final = frozenset({"configmap/kube-root-ca.crt", "serviceaccount/default"})
"""What is in a namespace in which nobody has done anything."""

GONE_WITHIN: Final = 90.0


class ClusterRelease(Release):
    """The release as it is by default, for the whole cluster."""

    def __init__(self, cluster: Cluster, *, namespace: str, log: Path) -> None:
        super().__init__(cluster, namespace=namespace, log=log)
        # The end-to-end tests have put some of it on this cluster.
        self._values = ("--take-ownership",)

    def uninstall(self) -> None:
        """Remove it; what it keeps stays."""
        run(program("helm"), "uninstall", NAME, *self._way, self._place, "--wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What requests for an Agent and a model met, and what was left at the end."""

    agent: Report
    model: Report
    touched: bool
    left: tuple[str, ...]


def installed(progress: Progress) -> Outcome:
    """Install it, upgrade and swap under load from inside, uninstall it, remove the definitions."""
    provider = find(progress)
    if provider.origin is Origin.CURRENT:
        raise Disturbed("this run removes all Agents of a cluster; it is not for one of yours")
    cluster = Cluster(str(provider.kubeconfig) if provider.kubeconfig else None)
    try:
        with tempfile.TemporaryDirectory() as directory, _namespaces(cluster) as (own, theirs):
            place = Path(directory)
            release = ClusterRelease(cluster, namespace=own, log=place / "unused.log")
            world = World(cluster, namespace=theirs, operator=release)
            return _outcome(_life(world, release, own, place, progress))
    finally:
        cluster.close()


def _life(world: World, release: ClusterRelease, own: str, place: Path, progress: Progress) -> Seen:
    progress.say("installing the chart for the whole cluster")
    release.install()
    world.apply(routed(world, "a", replicas=2, upgradePolicy=QUICKLY))
    world.apply(models.routed(world))
    world.wait_until_ready("a")
    models.wait_until_ready(world)
    for name in ("agent", "model"):
        (place / name).mkdir()
    with (
        load(world, "a", place / "agent") as requests,
        models.load(world, place / "model") as questions,
    ):
        progress.say("an upgrade and a swap")
        upgrade = change(world, "a")
        models.change(world, activeVersion="v2")
        world.wait_upgrade(upgrade, "Succeeded", within=120)
        models.wait_until_active(world, "v2", within=120)
        wait_until_only(world, requests, NEW)
        wait_until_only(world, questions, "v2")
        progress.say("uninstalling it")
        before = _pods(world)
        release.uninstall()
        wait_until_sent(world, requests, 1000)
        touched = _pods(world) != before
        reports = requests.stop(), questions.stop()
    progress.say("removing the definitions")
    return Seen(agent=reports[0], model=reports[1], touched=touched, left=_left(world, own))


def _pods(world: World) -> set[tuple[str, int]]:
    pods = world.cluster.moment("Pod", namespace=world.namespace).items
    return {identity(pod) for pod in pods}


def _left(world: World, own: str) -> tuple[str, ...]:
    """All that is still there when nobody is on the way out any more."""
    words = (program("kubectl"), *_config(world))
    run(*words, "delete", "--wait", "--kustomize", CRDS)
    world.cluster.wait_until_all(
        "Pod", lambda pods: not pods, within=GONE_WITHIN, namespace=world.namespace
    )
    kinds = run(*words, "api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    kinds = [kind for kind in kinds if not kind.startswith("events")]
    found = run(*words, "get", "crds", f"--selector={OURS}", "--output=name").split()
    found += run(*words, "get", OF_THE_CLUSTER, f"--selector={BY_HELM}", "--output=name").split()
    for namespace in (own, world.namespace):
        there = ("get", ",".join(kinds), f"--namespace={namespace}", "--output=name")
        found += [each for each in run(*words, *there).split() if each not in OF_EVERYBODY]
    return tuple(found)


def _config(world: World) -> tuple[str, ...]:
    return (f"--kubeconfig={world.cluster.kubeconfig}",) if world.cluster.kubeconfig else ()


@contextmanager
def _namespaces(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """One for the operator, one for Agents."""
    mark = secrets.token_hex(3)
    names = f"long-operator-{mark}", f"long-agents-{mark}"
    for name in names:
        cluster.create("Namespace", {"metadata": {"name": name, "labels": RESTRICTED}})
    try:
        yield names
    finally:
        for name in names:
            cluster.delete("Namespace", name)


def _outcome(seen: Seen) -> Outcome:
    lost = {"agent": len(seen.agent.failed), "model": len(seen.model.failed)}
    sent = {"agent": seen.agent.sent, "model": seen.model.sent}
    figures = {"sent": sent, "lost": lost, "podsTouched": seen.touched, "left": seen.left}
    line = (
        f"{lost['agent']} of {sent['agent']} requests for an Agent and {lost['model']} of "
        f"{sent['model']} for a model lost; pods {'were' if seen.touched else 'not'} touched by "
        f"the uninstall; left at the end: {', '.join(seen.left) or 'nothing'}"
    )
    kept = not (any(lost.values()) or seen.touched or seen.left)
    return Outcome(name="installation", line=line, kept=kept, figures=figures)
