"""The command line means what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from devcluster import cli
from devcluster.errors import ClusterError
from devcluster.images import TRAEFIK_IMAGE
from devcluster.layout import normal, scale
from devcluster.progress import Progress
from devcluster.providers import Local


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What `enter` would have become, instead of ending the tests."""
    words: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda _, argv: words.append(list(argv)))
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setattr(
        "devcluster.cli.find",
        lambda progress, *, for_scale: Local(scale({}) if for_scale else normal({}), progress),
    )
    return words


@pytest.mark.parametrize(
    ("arguments", "namespace"),
    [(["enter", "--"], "agentherd"), (["enter", "--scale", "--"], "agentherd-scale")],
)
def test_enter_becomes_the_command_inside_and_keeps_its_words(
    became: list[list[str]], arguments: list[str], namespace: str
) -> None:
    """Also a second pair of dashes, which belongs to the command."""
    command = ["kubectl", "exec", "pod", "--", "ls", "--all"]

    assert cli.main([*arguments, *command]) == 0

    inside = ["nsenter", f"--net=/run/netns/{namespace}", "--"]
    assert became == [[*inside, *command]]


def test_enter_without_a_command_says_how(
    became: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake costs a sentence and no traceback."""
    assert cli.main(["enter"]) == ClusterError.exit_code

    assert "enter -- kubectl" in capsys.readouterr().err
    assert became == []


def test_a_local_cluster_runs_the_image_that_it_was_given() -> None:
    """It has no registry to pull another from."""
    assert cli._traefik_image(Local(normal({}), Progress())) == TRAEFIK_IMAGE


def test_kubeconfigs_are_below_the_cache(became: list[list[str]]) -> None:
    """Nothing of a user's own configuration is written."""
    for layout in (normal({}), scale({})):
        assert Path(".cache") in [Path(part) for part in layout.kubeconfig.parts]
