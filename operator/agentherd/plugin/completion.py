"""Completion of words, names of objects included, for shells and for kubectl itself.

kubectl asks the program `kubectl_complete-agentherd` what may come after the words typed so far, so
`kubectl agentherd pro⇥` works in every shell in which kubectl completes. A cluster that does not
answer at once completes nothing; nobody wants to wait for a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete

from agentherd.plugin.problems import Problem

if TYPE_CHECKING:
    from agentherd.plugin.connection import Connection, Place

PATIENCE: Final = 2.0
NO_FILES: Final = ":4"
FILES: Final = ":0"
"""What kubectl is told at the end: whether names of files are to be offered too."""


def main() -> None:
    """Answer kubectl: a line for each word, then a directive."""
    from agentherd.plugin.cli import main as command

    *words, begun = sys.argv[1:] or [""]
    asked = ShellComplete(command, {}, "kubectl agentherd", "")
    found = asked.get_completions(words, begun)
    for item in found:
        if item.type == "plain":
            click.echo(f"{item.value}\t{item.help}" if item.help else str(item.value))
    click.echo(FILES if any(item.type == "file" for item in found) else NO_FILES)


def targets(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Upgrades and Agents of the namespace whose names go on from `begun`."""
    try:
        return [*_targets(_connection(context), begun)]
    except (Problem, ImportError):
        return []


def namespaces(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Namespaces of the cluster."""
    try:
        connection = _connection(context)
        names = connection.names_of_namespaces()
    except (Problem, ImportError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def contexts(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Contexts of the kubeconfig."""
    try:
        from agentherd.plugin.connection import contexts as read

        known, _ = read(_place(context))
    except (Problem, ImportError):
        return []
    return [CompletionItem(name) for name in known if name.startswith(begun)]


def _targets(connection: Connection, begun: str) -> Iterator[CompletionItem]:
    from agentherd.domain.kinds import AGENT, AGENT_UPGRADE

    prefix, slash, start = begun.rpartition("/")
    for kind, words in ((AGENT_UPGRADE, ("upgrade", "agup")), (AGENT, ("agent", "ag"))):
        if slash and prefix not in words:
            continue
        for raw in connection.moment(kind).items:
            name = raw["metadata"]["name"]
            if name.startswith(start):
                phase = raw.get("status", {}).get("phase", "")
                yield CompletionItem(f"{prefix}{slash}{name}", help=f"{kind.name} {phase}".strip())


def _connection(context: click.Context) -> Connection:
    from agentherd.plugin.connection import Connection

    return Connection(_place(context))


def _place(context: click.Context) -> Place:
    from agentherd.plugin.connection import Place

    given: dict[str, Any] = context.params
    return Place(
        kubeconfig=given.get("kubeconfig"),
        context=given.get("context"),
        namespace=given.get("namespace"),
        timeout=PATIENCE,
    )
