"""The instruments: named by the conventions, described, and documented as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentherd.engine.__main__ import main
from agentherd.engine.metrics import Instrument, Metrics

REPOSITORY = Path(__file__).parents[3]

UNITS = ("_seconds", "_ratio", "_total", "_info")
COUNTED = {"agents", "leader", "models", "objects", "queue_depth", "upgrades"}
"""What is a number of things has no unit."""


@pytest.mark.parametrize("one", Metrics().instruments, ids=lambda one: one.name)
def test_each_metric_has_a_unit_and_a_text(one: Instrument) -> None:
    """Base units, and `_total` where it counts."""
    bare = one.name.removeprefix("agentherd_")

    assert bare in COUNTED or bare.endswith(UNITS)
    assert one.name.endswith("_total") is (one.type == "counter")
    assert re.fullmatch(r"[A-Z0-9].+[^.]", one.text)


def test_every_instrument_is_in_the_registry() -> None:
    """The reference is made of the one, Prometheus reads the other."""
    metrics = Metrics()

    families = {family.name for family in metrics.registry.collect()}
    ours = {name for name in families if name.startswith("agentherd_")}

    assert ours == {one.name.removesuffix("_total") for one in metrics.instruments}


def test_the_reference_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """`make generate` has been run."""
    assert main(["--check", "--root", str(REPOSITORY)]) == 0, capsys.readouterr().err


def test_a_stale_reference_is_named_and_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check writes nothing itself."""
    (tmp_path / "docs/reference").mkdir(parents=True)

    checked = main(["--check", "--root", str(tmp_path)])
    said = capsys.readouterr().err
    written = main(["--root", str(tmp_path)])

    assert (checked, written) == (1, 0)
    assert "metrics.md is stale" in said
    assert main(["--check", "--root", str(tmp_path)]) == 0
