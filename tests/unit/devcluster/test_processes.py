"""The plan of a cluster can be carried out: order, files, round trip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from devcluster import processes, settings
from devcluster.component import Component, Mount, Plan
from devcluster.layout import Layout, normal, scale

DOORS = {16443: 7, 8000: 8}


def components_of(layout: Layout) -> tuple[Component, ...]:
    if layout.scale:
        return processes.scale_components(layout, DOORS, stages=Path("/stages"))
    return processes.normal_components(layout, DOORS)


@pytest.mark.parametrize("layout", [normal({}), scale({})], ids=["normal", "scale"])
def test_every_component_starts_after_components_that_come_before_it(layout: Layout) -> None:
    """So the guard can never wait for itself."""
    seen: set[str] = set()

    for component in components_of(layout):
        assert set(component.after) <= seen
        seen.add(component.name)


@pytest.mark.parametrize("layout", [normal({}), scale({})], ids=["normal", "scale"])
def test_every_configuration_file_that_a_flag_names_is_written(layout: Layout) -> None:
    """Flags and files are in two modules that have to agree."""
    written = {str(layout.config / name) for name in settings.files(layout)}

    named = {
        word.partition("=")[2]
        for component in components_of(layout)
        for word in component.argv
        if word.partition("=")[2].startswith(str(layout.config))
    }

    assert named
    assert named <= written


def test_every_component_can_be_seen_to_be_ready() -> None:
    """No start depends on a guess of how long something takes."""
    for component in components_of(normal({})):
        assert bool(component.probe.url) != bool(component.probe.socket)


def test_a_fake_cluster_has_neither_a_kubelet_nor_a_container_runtime() -> None:
    """It is the control plane that a scale run measures."""
    names = {component.name for component in components_of(scale({}))}

    assert names.isdisjoint({"kubelet", "containerd", "kube-proxy"})
    assert "kwok" in names


def test_the_plan_survives_its_file() -> None:
    """The guard is another process and reads what the command line meant."""
    plan = Plan(
        components=components_of(normal({})),
        mounts=(Mount("", "/run"), Mount("/a", "/b")),
        logs="/logs",
        report="/report",
        authority="/ca",
    )

    assert Plan.from_json(plan.to_json()) == plan


def test_an_audit_log_is_bounded() -> None:
    """A cluster may run for weeks."""
    written = processes.kube_apiserver(normal({}), audit=True)
    silent = processes.kube_apiserver(normal({}), audit=False)

    assert {"--audit-log-maxsize=64", "--audit-log-maxbackup=1"} <= set(written.argv)
    assert not any("audit" in word for word in silent.argv)


def test_what_operators_do_is_audited_and_nothing_else() -> None:
    """Whoever else talks to the API server does it so often that it would cost time."""
    rules = settings.audit(normal({}))["rules"]

    assert rules == [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ]


def test_settings_are_well_formed() -> None:
    """A file that does not parse would be found by a component that dies."""
    for name, text in settings.files(normal({})).items():
        if name.endswith(".yaml"):
            assert yaml.safe_load(text)["apiVersion"]
        if name.endswith(".conflist"):
            assert json.loads(text)["plugins"]


def test_a_fake_cluster_mounts_nothing_over_the_directories_of_a_node() -> None:
    """They belong to the normal cluster that may run beside it."""
    targets = {entry.target for entry in processes.mounts(scale({}))}

    assert targets.isdisjoint(processes.OWN_DIRECTORIES)
