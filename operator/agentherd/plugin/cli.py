"""The command line: `kubectl agentherd VERB`.

Here is only what is typed and printed; each command imports what it needs when it is called, since
a client of Kubernetes takes half a second to load. Codes: 0 done, 1 a problem that is told, 2 not
understood; those of `watch` stand in its help.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from agentherd import __version__
from agentherd.plugin import completion
from agentherd.plugin.problems import Changed, Denied, Problem

if TYPE_CHECKING:
    from agentherd.api import AgentUpgrade
    from agentherd.plugin.connection import Connection
    from agentherd.plugin.patching import Done
    from agentherd.plugin.steering import Steer

Command = TypeVar("Command", bound=Callable[..., None])

_TARGET: Final = click.argument("target", shell_complete=completion.targets)
_OUTPUT: Final = click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), help="Print data for programs."
)
_EVERYWHERE: Final = click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="Look in all namespaces."
)


def place(command: Command) -> Command:
    """The options that say which cluster and which namespace are meant, as those of kubectl."""
    for option in (
        click.option("--kubeconfig", type=click.Path(), help="Path of the kubeconfig."),
        click.option(
            "--context", shell_complete=completion.contexts, help="Context of the kubeconfig."
        ),
        click.option(
            "-n",
            "--namespace",
            shell_complete=completion.namespaces,
            help="Namespace to look in; without it that of the context.",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kubectl-agentherd")
def main() -> None:
    """See and steer upgrades of Agents.

    TARGET is the name of an upgrade, or of an Agent, which means the upgrade that governs it.
    Say agent/NAME or upgrade/NAME where both exist. It is done with your own rights, by your
    kubeconfig.
    """


# What is seen


@main.command()
@click.argument("target", required=False, shell_complete=completion.targets)
@place
@_EVERYWHERE
@_OUTPUT
def status(target: str | None, everywhere: bool, output: str | None, **where: Any) -> None:  # noqa: FBT001
    """Show how Agents and their upgrades are."""
    connection = _connection(**where)
    from agentherd.plugin import overview, targets, terminal

    if target is not None:
        _status_of(connection, _single(target, everywhere=everywhere), output)
        return
    agents = targets.agents(connection, everywhere=everywhere)
    upgrades = targets.upgrades(connection, everywhere=everywhere)
    if output:
        terminal.dump(overview.agents_data(agents, upgrades), output)
    elif not agents:
        _nothing(connection, everywhere=everywhere)
    else:
        width = terminal.console().width
        terminal.show(overview.agents_table(agents, upgrades, width=width, everywhere=everywhere))


@main.command()
@click.argument("target", required=False, shell_complete=completion.targets)
@place
@_OUTPUT
def tree(target: str | None, output: str | None, **where: Any) -> None:
    """Show what belongs to an Agent: upgrades, revisions, pods."""
    connection = _connection(**where)
    from agentherd.plugin import targets, terminal
    from agentherd.plugin import tree as drawing

    agents = [_agent(connection, target)] if target else targets.agents(connection)
    if not agents and not output:
        _nothing(connection, everywhere=False)
    upgrades = targets.upgrades(connection)
    families = [
        drawing.family(
            agent,
            upgrades,
            replica_sets=connection.children("ReplicaSet", agent.metadata.name),
            pods=connection.children("Pod", agent.metadata.name),
            now=_now(),
        )
        for agent in agents
    ]
    if output:
        data = [drawing.tree_data(each) for each in families]
        terminal.dump(data[0] if target else data, output)
    else:
        for each in families:
            terminal.show(drawing.tree(each))


@main.command()
@_TARGET
@click.option("--next", "later", is_flag=True, help="Wait for the next upgrade of the Agent.")
@place
def watch(target: str, later: bool, **where: Any) -> None:  # noqa: FBT001
    """Follow an upgrade to its end.

    Ends with code 0 when it has succeeded, 3 when it was rolled back, 4 when it was superseded or
    deleted, and 130 when you stop watching.
    """
    connection = _connection(**where)
    from agentherd.plugin import watching

    try:
        code = watching.watch(connection, target, later=later)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


@main.command()
@_TARGET
@place
@_OUTPUT
def explain(target: str, output: str | None, **where: Any) -> None:
    """Say why an upgrade is where it is, with the numbers behind it."""
    connection = _connection(**where)
    from agentherd.plugin import explanation, targets, terminal

    upgrade = targets.governing(connection, target)
    if output:
        terminal.dump(explanation.explanation_data(upgrade), output)
    else:
        terminal.show(explanation.explanation(upgrade, now=_now()))


@main.command()
@_TARGET
@click.option("--svg", type=click.Path(dir_okay=False), help="Write a picture to this file.")
@place
def chart(target: str, svg: str | None, **where: Any) -> None:
    """Draw weight, errors and latency over the time of an upgrade."""
    connection = _connection(**where)
    from agentherd.plugin import chart as drawing
    from agentherd.plugin import targets, terminal

    upgrade = targets.governing(connection, target)
    if svg is None:
        terminal.show(drawing.chart(upgrade, width=terminal.console().width))
        return
    try:
        terminal.save(drawing.chart(upgrade, width=terminal.PICTURE_WIDTH), svg)
    except OSError as error:
        raise Problem(f"{svg} cannot be written: {error.strerror}") from error


# What is done


@main.command()
@_TARGET
@place
def pause(target: str, **where: Any) -> None:
    """Stay at the present step until it is resumed."""
    from agentherd.plugin import steering

    _steer(target, where, steering.pause)


@main.command()
@_TARGET
@place
def resume(target: str, **where: Any) -> None:
    """Go on after `pause`."""
    from agentherd.plugin import steering

    _steer(target, where, steering.resume)


@main.command()
@_TARGET
@click.option("--step", type=click.IntRange(min=1), help="Do not wait at steps up to this one.")
@click.option("--full", is_flag=True, help="Skip all steps that are left.")
@place
def promote(target: str, step: int | None, full: bool, **where: Any) -> None:  # noqa: FBT001
    """Go on before a pause is over; without options, from the present step."""
    if step is not None and full:
        raise click.UsageError("give --step or --full, not both")
    from agentherd.plugin import steering

    _steer(target, where, lambda seen: steering.promote(seen, step=step, full=full))


@main.command()
@_TARGET
@click.option("--reason", help="Why, in your own words.")
@place
def abort(target: str, reason: str | None, **where: Any) -> None:
    """Go back to the old version while an upgrade runs."""
    from agentherd.plugin import steering

    _steer(target, where, lambda seen: steering.abort(seen, reason=_short(reason)))


@main.command()
@_TARGET
@place
def retry(target: str, **where: Any) -> None:
    """Try an upgrade again that was rolled back."""
    from agentherd.plugin import steering

    _steer(target, where, steering.retry)


@main.command()
@_TARGET
@click.option("--reason", help="Why, in your own words.")
@click.option("--to-revision", "revision", help="Kept revision of the Agent to go back to.")
@place
def rollback(target: str, reason: str | None, revision: str | None, **where: Any) -> None:
    """Go back to the old version, or to any that is kept, also after a success."""
    connection = _connection(**where)
    from agentherd.plugin import patching, steering, targets

    if revision is not None:
        agent = _agent(connection, target)
        done = patching.roll_back_to(connection, agent, revision=revision, reason=_short(reason))
        _tell(done, where)
        return

    def decide(seen: AgentUpgrade) -> Steer:
        return steering.rollback(seen, targets.target(connection, seen), reason=_short(reason))

    _steer(target, where, decide, connection=connection)


@main.command()
@_TARGET
@place
def approve(target: str, **where: Any) -> None:
    """Approve an upgrade in your own name, where it waits for that."""
    connection = _connection(**where)
    from agentherd.plugin import steering

    user = connection.user()
    try:
        _steer(target, where, lambda seen: steering.approve(seen, user=user), connection=connection)
    except Changed:
        raise
    except Problem as problem:
        if isinstance(problem, Denied) or steering.APPROVAL in problem.message:
            raise Denied(
                f"you are {user}, and may not approve: ask whoever runs the cluster for the verb "
                f"update of {steering.APPROVAL} in namespace {connection.namespace} "
                f"({problem.message})"
            ) from problem
        raise


@main.command()
@_TARGET
@click.option(
    "--rating", type=click.IntRange(1, 5), required=True, help="From 1, the worst, to 5, the best."
)
@click.option("--comment", help="Why, in your own words.")
@click.option("--from", "giver", help="Who says so; without it your user name.")
@place
def feedback(
    target: str, rating: int, comment: str | None, giver: str | None, **where: Any
) -> None:
    """Say what you think of the new version; it counts for the rollback score."""
    if comment is not None and len(comment) > 512:
        raise click.BadParameter("at most 512 characters are kept", param_hint="--comment")
    connection = _connection(**where)
    from agentherd.plugin import steering

    who = giver or connection.user()
    _steer(
        target,
        where,
        lambda seen: steering.feedback(seen, giver=who, rating=rating, comment=comment),
        connection=connection,
    )


# How it is done


def _connection(**where: Any) -> Connection:
    try:
        from agentherd.plugin.connection import Connection, Place
    except ImportError as error:
        raise Problem(
            f"the plugin needs more than the operator ({error.name} is missing): install it with "
            "`pip install 'agentherd[plugin]'`"
        ) from error
    return Connection(Place(**where))


def _steer(
    target: str,
    where: dict[str, Any],
    decide: Callable[[AgentUpgrade], Steer],
    *,
    connection: Connection | None = None,
) -> None:
    connection = connection or _connection(**where)
    from agentherd.plugin import patching

    _tell(patching.carry_out(connection, target, decide), where)


def _tell(done: Done, where: dict[str, Any]) -> None:
    """Say what was done; how to go on stands on standard error, where no program reads it."""
    from agentherd.plugin import terminal

    terminal.console().out(done.said, highlight=False)
    given = "".join(f" --{key} {value}" for key, value in where.items() if value)
    for verb in done.hints:
        click.echo(f"  kubectl agentherd {verb} {done.upgrade}{given}", err=True)


def _status_of(connection: Connection, target: str, output: str | None) -> None:
    from rich.console import Group

    from agentherd.api import Agent
    from agentherd.plugin import overview, targets, terminal

    found = targets.locate(connection, target)
    if isinstance(found, Agent):
        agent = found
        upgrades = targets.upgrades(connection)
        upgrade = overview.governing_of(agent, upgrades)
        if output:
            terminal.dump(overview.agents_data([agent], upgrades)[0], output)
            return
        parts = [overview.agent_block(agent, upgrade, now=_now())]
        blocks = [overview.upgrade_block(upgrade, now=_now())] if upgrade else []
        terminal.show(Group(*parts, *blocks))
    elif output:
        terminal.dump(overview.upgrade_data(found), output)
    else:
        terminal.show(overview.upgrade_block(found, now=_now()))


def _agent(connection: Connection, target: str) -> Any:
    """The Agent that is meant, by its own name or by that of one of its upgrades."""
    from agentherd.api import Agent
    from agentherd.plugin import targets

    found = targets.locate(connection, target)
    if isinstance(found, Agent):
        return found
    agent = targets.target(connection, found)
    if not isinstance(agent, Agent | None):
        raise Problem(f"{found.metadata.name} is an upgrade of a {agent.KIND}, not of an Agent")
    if agent is None:
        raise Problem(
            f"the Agent {found.spec.target_ref.name} of {found.metadata.name} does not exist"
        )
    return agent


def _single(target: str, *, everywhere: bool) -> str:
    if everywhere:
        raise click.UsageError("-A is for all Agents: leave it out, or the name")
    return target


def _nothing(connection: Connection, *, everywhere: bool) -> None:
    where = "any namespace" if everywhere else f"namespace {connection.namespace}"
    click.echo(f"There is no Agent in {where}.", err=True)


def _short(reason: str | None) -> str | None:
    if reason is not None and len(reason) > 256:
        raise click.BadParameter("at most 256 characters are kept", param_hint="--reason")
    return reason


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


if __name__ == "__main__":
    main()
