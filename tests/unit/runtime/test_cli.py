"""The command line, and what it tells the process."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tests.twin import raw_agent

import agentherd
from agentherd.api import Agent
from agentherd.domain.errors import Unauthorized
from agentherd.domain.judging.reach import Reach
from agentherd.domain.kinds import AGENT, Key
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.strategy import DEFAULTS, Defaults
from agentherd.engine.store import read_subject
from agentherd.runtime import process, settings
from agentherd.runtime.cli import main
from agentherd.runtime.settings import Settings, own_namespace
from agentherd.runtime.tracing import NotInstalled

OPTIONS = (
    "--namespace",
    "--http-host",
    "--http-port",
    "--lease-namespace",
    "--lease-name",
    "--workers",
    "--canary-weights",
    "--canary-pause-seconds",
    "--max-surge",
    "--scale-down-delay-seconds",
    "--abort-scale-down-delay-seconds",
    "--rollback-window",
    "--metric-host",
    "--traces-to",
    "--log-format",
    "--log-level",
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every process that would have been started."""
    found: list[Settings] = []

    async def run(chosen: Settings) -> None:
        found.append(chosen)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr("agentherd.runtime.logs.configure", lambda **_: None)
    return found


def call(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(main, arguments, env=environment)


def test_the_help_names_every_command() -> None:
    """Three of them."""
    answer = call("--help")

    assert answer.exit_code == 0
    assert all(command in answer.output for command in ("crds", "run", "version"))


@pytest.mark.usefixtures("started")
def test_a_template_may_be_nested_as_deep_as_the_api_server_takes_it() -> None:
    """One that cannot be read would end the watch of all Agents, and the operator with it."""
    before, depth = sys.getrecursionlimit(), 9900
    deep = '{"x":' * depth + "1" + "}" * depth

    call("run")

    try:
        spec = {"template": {"spec": {"containers": [], **json.loads(deep)}}}
        listed = json.loads(json.dumps({"items": [raw_agent(**spec)]}))
        found, unreadable = read_subject(AGENT, listed["items"][0])
        assert isinstance(found, Agent)
        assert revision_of(found.spec).hash
        assert not unreadable
    finally:
        sys.setrecursionlimit(before)


def test_the_help_of_run_names_every_option() -> None:
    """These are the surface of the operator."""
    answer = call("run", "--help")

    assert [option for option in OPTIONS if option not in answer.output] == []


def test_the_version_is_that_of_the_package() -> None:
    """And nothing else is printed."""
    assert call("version").output == f"{agentherd.__version__}\n"


def test_the_crds_can_be_applied() -> None:
    """As they are."""
    crds = list(yaml.safe_load_all(call("crds").output))

    assert {crd["kind"] for crd in crds} == {"CustomResourceDefinition"}
    assert [crd["metadata"]["name"] for crd in crds] == [
        "agents.agentherd.dev",
        "agentupgrades.agentherd.dev",
        "modeldeployments.agentherd.dev",
    ]


def test_without_options_the_whole_cluster_is_served(started: list[Settings]) -> None:
    """On port 8080, with the Lease beside the pod."""
    answer = call("run")

    assert answer.exit_code == 0
    (chosen,) = started
    assert chosen.namespaces == ()
    assert (chosen.http_host, chosen.http_port, chosen.workers) == ("0.0.0.0", 8080, 32)  # noqa: S104
    assert chosen.lease == Key("default", "agentherd")


def test_several_namespaces_can_be_given_by_the_environment(started: list[Settings]) -> None:
    """Separated by spaces there."""
    call("run", AGENTHERD_NAMESPACE="a b")

    assert started[0].namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("variable", "value", "attribute", "expected"),
    [
        ("HTTP_PORT", "9090", "http_port", 9090),
        ("HTTP_HOST", "127.0.0.1", "http_host", "127.0.0.1"),
        ("WORKERS", "4", "workers", 4),
        ("LEASE_NAME", "mine", "lease", Key("default", "mine")),
        ("LEASE_NAMESPACE", "ns", "lease", Key("ns", "agentherd")),
    ],
)
def test_an_option_is_called_the_same_in_the_environment(
    started: list[Settings], variable: str, value: str, attribute: str, expected: object
) -> None:
    """AGENTHERD_ and the name of the option."""
    call("run", **{f"AGENTHERD_{variable}": value})

    assert getattr(started[0], attribute) == expected


def test_hosts_that_may_be_asked_can_be_named(started: list[Settings]) -> None:
    """As options or separated by spaces; without any, all may be."""
    call("run")
    call("run", "--metric-host=*.monitoring.svc", "--metric-host=judge")
    call("run", AGENTHERD_METRIC_HOST="*.monitoring.svc judge")

    assert started[0].sources == Reach()
    assert [each.sources.hosts for each in started[1:]] == [("*.monitoring.svc", "judge")] * 2


def test_six_settings_hold_for_upgrades_that_leave_them_open(started: list[Settings]) -> None:
    """As environment variables, in which a Deployment gives them."""
    call(
        "run",
        AGENTHERD_CANARY_WEIGHTS="1, 10,100",
        AGENTHERD_CANARY_PAUSE_SECONDS="5",
        AGENTHERD_MAX_SURGE="3",
        AGENTHERD_SCALE_DOWN_DELAY_SECONDS="0",
        AGENTHERD_ABORT_SCALE_DOWN_DELAY_SECONDS="600",
        AGENTHERD_ROLLBACK_WINDOW="20",
    )

    assert started[0].upgrades == Defaults(
        canary_weights=(1, 10, 100),
        canary_pause_seconds=5,
        max_surge=3,
        scale_down_delay_seconds=0,
        abort_scale_down_delay_seconds=600,
        rollback_window=20,
    )


def test_without_them_a_canary_has_three_steps(started: list[Settings]) -> None:
    """And an empty list of weights is a canary without steps."""
    call("run")
    call("run", "--canary-weights=", "--max-surge=50%")

    assert started[0].upgrades == DEFAULTS
    assert started[1].upgrades.canary_weights == ()
    assert started[1].upgrades.max_surge == "50%"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CANARY_WEIGHTS", "5,1.5"),
        ("CANARY_WEIGHTS", "101"),
        ("CANARY_WEIGHTS", ",".join("1" * 21)),
        ("CANARY_PAUSE_SECONDS", "-1"),
        ("MAX_SURGE", "150%"),
        ("MAX_SURGE", "0"),
        ("SCALE_DOWN_DELAY_SECONDS", "86401"),
        ("ABORT_SCALE_DOWN_DELAY_SECONDS", "half"),
        ("ROLLBACK_WINDOW", "21"),
    ],
)
def test_a_setting_out_of_bounds_keeps_it_from_starting(
    started: list[Settings], variable: str, value: str
) -> None:
    """With the name of the option, before anything is touched."""
    answer = call("run", **{f"AGENTHERD_{variable}": value})

    assert answer.exit_code == 2
    assert f"--{variable.lower().replace('_', '-')}" in answer.output
    assert started == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unauthorized("there are none"), "cannot log in: there are none"),
        (NotInstalled("install it"), "cannot send traces: install it"),
        (
            OSError(errno.EADDRINUSE, "address in use"),
            "cannot serve on 0.0.0.0:8080: address in use; use --http-port",
        ),
    ],
    ids=["credentials", "traces", "port"],
)
def test_what_keeps_it_from_starting_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    started: list[Settings],
    error: Exception,
    said: str,
) -> None:
    """Of the log, and not a traceback."""

    async def run(_: Settings) -> None:
        raise error

    monkeypatch.setattr(process, "run", run)

    answer = call("run")

    assert answer.exit_code == 1
    assert caplog.messages == [said]


def test_a_pod_knows_its_namespace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside a cluster it is `default`."""
    outside = own_namespace()
    (tmp_path / "namespace").write_text("agentherd\n")
    monkeypatch.setattr(settings, "_NAMESPACE_FILE", tmp_path / "namespace")

    assert (outside, own_namespace()) == ("default", "agentherd")


def test_every_process_has_a_name_of_its_own() -> None:
    """It stands in the Lease and in Events."""
    chosen = Settings(lease=Key("a", "b"))

    assert "_" in chosen.identity


def test_the_source_root_does_not_shadow_the_standard_library() -> None:
    """`operator` is a module of Python; ours is a folder and no package."""
    import operator

    root = Path(agentherd.__file__).parent.parent

    assert not (root / "__init__.py").exists()
    assert hasattr(operator, "itemgetter")
    assert Path(sys.modules["operator"].__file__ or "").parent != root
