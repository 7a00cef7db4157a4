"""`python -m devcluster`: the commands behind the Makefile's cluster targets.

    up [--scale]         a cluster that is ready; says where it is
    down [--scale]       nothing of it is left
    status [--scale]     its components
    kubeconfig [--scale] the path of its kubeconfig
    gateway              the address of its Gateway
    build                the images with a Dockerfile, if missing or stale
    load [IMAGE …]       give images to the cluster; without names, those of `build`
    enter -- CMD …       run a command where the cluster's addresses can be reached

Answers go to stdout, progress to stderr. Exit code 2 means that no cluster is possible here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from devcluster import addons, images
from devcluster.command import succeeds
from devcluster.component import read_report
from devcluster.errors import ClusterError
from devcluster.lock import alone
from devcluster.progress import Progress
from devcluster.providers import Origin, Provider, find

GATEWAY_SECONDS = 90


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    chosen = parser().parse_args(arguments)
    progress = Progress()
    try:
        return _dispatch(chosen, progress)
    except ClusterError as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("devcluster: interrupted; `down` removes what was started", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="devcluster", description="The development cluster.")
    commands = top.add_subparsers(dest="command", required=True)
    for name, what in (
        ("up", "start the cluster, or see that it runs"),
        ("down", "stop it and leave nothing behind"),
        ("status", "show its components"),
        ("kubeconfig", "print the path of its kubeconfig"),
        ("gateway", "print the address of its Gateway"),
        ("enter", "run a command where its addresses can be reached"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--scale", action="store_true", help="the cluster with fake nodes")
        if name == "enter":
            command.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    commands.add_parser("build", help="build the images that are missing or stale")
    load = commands.add_parser("load", help="give the cluster images")
    load.add_argument("images", nargs="*", metavar="IMAGE")
    return top


def _dispatch(chosen: argparse.Namespace, progress: Progress) -> int:
    if chosen.command == "build":
        with alone("images"):
            images.build_all(progress, docker=succeeds(["docker", "info"], timeout=5))
        return 0
    provider = find(progress, for_scale=getattr(chosen, "scale", False))
    match chosen.command:
        case "up":
            with alone(provider.layout.name):
                up(provider, progress)
        case "down":
            with alone(provider.layout.name):
                provider.stop()
        case "status":
            return status(provider)
        case "kubeconfig":
            default = str(Path.home() / ".kube" / "config")
            print(provider.kubeconfig or os.environ.get("KUBECONFIG", default))
        case "gateway":
            print(provider.gateway)
        case "load":
            with alone("images"):
                load(provider, chosen.images, progress)
        case "enter":
            enter(provider, chosen.argv[chosen.argv[:1] == ["--"] :])
    return 0


def up(provider: Provider, progress: Progress) -> None:
    """Start the cluster with what belongs on it."""
    if provider.is_up():
        progress.say("the cluster is up")
        _say_where(provider)
        return
    progress.say(f"starting the cluster ({provider.origin})")
    provider.start()
    if provider.layout.scale:
        provider.settle()
        addons.apply_fake_nodes(provider.kubectl())
        progress.say(f"{addons.FAKE_NODES} fake nodes ready")
    else:
        for image in provider.cluster_images():
            provider.load(image)
        provider.define_gateway_api()
        addons.apply_gateway(provider.kubectl(), image=_traefik_image(provider))
        provider.settle()
        progress.say("node ready")
        addons.await_gateway(provider.kubectl(), address=provider.gateway, seconds=GATEWAY_SECONDS)
        progress.say("Gateway ready")
    provider.complete()
    _say_where(provider)


def _traefik_image(provider: Provider) -> str:
    # Where no registry can be asked, the cluster was given the image that we wrote.
    return images.TRAEFIK_IMAGE if provider.origin is Origin.LOCAL else images.PUBLISHED_TRAEFIK


def _say_where(provider: Provider) -> None:
    kubeconfig = provider.kubeconfig or "of the current context"
    print(f"kubeconfig  {kubeconfig}")
    if provider.gateway:
        print(f"gateway     {provider.gateway}")


def status(provider: Provider) -> int:
    """Print each component's stage; 0 if the cluster is up."""
    for name, report in read_report(provider.layout.report).items():
        again = f", started again {report.restarts} times" if report.restarts else ""
        print(f"{name:<26}{report.stage}{again}")
    is_up = provider.is_up()
    print(f"{provider.origin}: {'up' if is_up else 'down'}")
    return 0 if is_up else 1


def load(provider: Provider, references: Sequence[str], progress: Progress) -> None:
    """Give the cluster the named images, or all that have a Dockerfile."""
    docker = succeeds(["docker", "info"], timeout=5)
    known = {recipe.reference: recipe for recipe in images.RECIPES}
    for reference in references or known:
        if reference not in known:
            raise ClusterError(f"{reference} is none of {', '.join(known)}")
        provider.load(images.build(known[reference], progress, docker=docker))


def enter(provider: Provider, argv: Sequence[str]) -> None:
    """Become the command; does not return."""
    if not argv:
        raise ClusterError("enter needs a command: enter -- kubectl get pods")
    if provider.kubeconfig:
        os.environ["KUBECONFIG"] = str(provider.kubeconfig)
    words = [*provider.enter, *argv]
    os.execvp(words[0], words)  # noqa: S606 - becoming the command is what is asked for
