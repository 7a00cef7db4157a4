"""The command line: `agentherd run`, `agentherd crds`, `agentherd version`.

Every option can be given as an environment variable, `AGENTHERD_` and its name.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from typing import Any, Final

import click

from agentherd import __version__
from agentherd.api.crd import crd_yaml
from agentherd.api.resources import RESOURCES
from agentherd.api.strategy import MAX_STEPS, SURGE_PATTERN
from agentherd.domain.errors import Unauthorized
from agentherd.domain.judging.reach import Reach
from agentherd.domain.kinds import Key
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults
from agentherd.runtime import logs
from agentherd.runtime.settings import Settings, own_namespace

log = logging.getLogger(__name__)

_DELAY = click.IntRange(0, 86400)

DEEPEST: Final = 10_000
"""How deep an object may be nested for the API server; a template is kept as it was written."""


def _weights(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    """Percentages from a list such as `5,25,50`; an empty text is no step at all."""
    weights = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(weights) > MAX_STEPS:
        raise click.BadParameter(f"at most {MAX_STEPS} steps are possible")
    if not all(re.fullmatch("[0-9]|[1-9][0-9]|100", weight) for weight in weights):
        raise click.BadParameter("give percentages from 0 to 100, for example 5,25,50")
    return tuple(int(weight) for weight in weights)


def _surge(_context: click.Context, _option: click.Parameter, text: str) -> int | str:
    """A number of pods or a percentage."""
    if re.fullmatch(SURGE_PATTERN, text):
        return text
    if re.fullmatch("[1-9][0-9]{0,3}|10000", text):
        return int(text)
    raise click.BadParameter("give 1% to 100%, or a number of pods from 1 to 10000")


@click.group(context_settings={"show_default": True})
def main() -> None:
    """Runs fleets of AI agents on Kubernetes and changes them safely while they work."""


# Said here and not at the group, where click would add the command: AGENTHERD_RUN_HTTP_PORT.
@main.command(context_settings={"auto_envvar_prefix": "AGENTHERD"})
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    envvar="AGENTHERD_NAMESPACE",
    help="Namespace to serve; may be repeated. Without it the whole cluster is served.",
)
@click.option("--http-host", default="0.0.0.0", help="Address of the endpoints.")  # noqa: S104
@click.option(
    "--http-port",
    default=8080,
    type=click.IntRange(0, 65535),
    help="Port of /healthz, /readyz and /metrics.",
)
@click.option("--lease-namespace", help="Namespace of the Lease.  [default: that of the pod]")
@click.option("--lease-name", default="agentherd", help="Name of the Lease.")
@click.option(
    "--workers",
    default=32,
    type=click.IntRange(1, 1000),
    help="How many objects are worked on at the same time.",
)
@click.option(
    "--canary-weights",
    default=",".join(map(str, DEFAULTS.canary_weights)),
    callback=_weights,
    help="Steps of a canary that names none: percentages of the requests.",
)
@click.option(
    "--canary-pause-seconds",
    default=DEFAULTS.canary_pause_seconds,
    type=click.IntRange(0, 604800),
    help="How long each of these steps lasts.",
)
@click.option(
    "--max-surge",
    default=str(DEFAULTS.max_surge),
    callback=_surge,
    help="Pods beyond those wanted, for a rolling update that does not say.",
)
@click.option(
    "--scale-down-delay-seconds",
    default=DEFAULTS.scale_down_delay_seconds,
    type=_DELAY,
    help="How long old pods are kept after an upgrade that does not say.",
)
@click.option(
    "--abort-scale-down-delay-seconds",
    default=DEFAULTS.abort_scale_down_delay_seconds,
    type=_DELAY,
    help="How long new pods are kept after a rollback, where the upgrade does not say.",
)
@click.option(
    "--rollback-window",
    default=DEFAULTS.rollback_window,
    type=click.IntRange(0, 20),
    help="How many former revisions may be gone back to without steps, likewise.",
)
@click.option(
    "--metric-host",
    "metric_hosts",
    multiple=True,
    envvar="AGENTHERD_METRIC_HOST",
    help="Host that the metrics of an analysis may be asked of, such as *.monitoring.svc; may be "
    "repeated. Without it all may but those of the machine itself.",
)
@click.option(
    "--traces-to",
    default="",
    help="URL of an OpenTelemetry collector (OTLP over HTTP) for traces of upgrades, such as "
    "http://collector.monitoring.svc:4318. Needs the extra tracing. Without it there are none.",
)
@click.option(
    "--log-format",
    default="text",
    type=click.Choice(logs.FORMATS),
    help="Lines for people, or for machines.",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="What is logged besides the audit trail.",
)
def run(
    namespaces: tuple[str, ...],
    http_host: str,
    http_port: int,
    lease_namespace: str | None,
    lease_name: str,
    workers: int,
    metric_hosts: tuple[str, ...],
    traces_to: str,
    log_format: str,
    log_level: str,
    **upgrades: Any,
) -> None:
    """Run the operator until it is told to stop."""
    # kopf takes a third of a second to import, which the other commands need not wait for.
    from agentherd.runtime import process, tracing

    logs.configure(level=log_level, form=log_format)
    # One object that cannot be read costs all that are read with it. No more than that, though:
    # what others answer may be deeper still, and the stack has an end, where the process dies.
    sys.setrecursionlimit(DEEPEST + 1000)
    settings = Settings(
        namespaces=namespaces,
        http_host=http_host,
        http_port=http_port,
        lease=Key(lease_namespace or own_namespace(), lease_name),
        workers=workers,
        upgrades=Defaults(**upgrades),
        sources=Reach(hosts=metric_hosts),
        traces_to=traces_to,
    )
    try:
        asyncio.run(process.run(settings))
    except tracing.NotInstalled as error:
        log.critical("cannot send traces: %s", error)
        sys.exit(1)
    except Unauthorized as error:
        log.critical("cannot log in: %s", error)
        sys.exit(1)
    except OSError as error:
        why = error.strerror
        log.critical("cannot serve on %s:%d: %s; use --http-port", http_host, http_port, why)
        sys.exit(1)


@main.command()
def crds() -> None:
    """Print the CustomResourceDefinitions."""
    click.echo("---\n".join(crd_yaml(resource) for resource in RESOURCES), nl=False)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)
