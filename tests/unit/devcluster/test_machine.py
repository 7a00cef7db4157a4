"""What is read from the machine: versions, file systems, cgroups, packages, certificates."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from devcluster import certificates, kernel, packages, toolchain
from devcluster.command import last_lines
from devcluster.filesystem import filesystem_of
from devcluster.layout import NODE_ADDRESS, Layout, Port
from devcluster.proxy import doors_of


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", (1, 26, 8)), ("go1.27", (1, 27, 0)), ("devel", ()), ("", ())],
)
def test_the_version_of_go(text: str, version: tuple[int, ...]) -> None:
    """An unknown one is too old, so a pinned one is fetched."""
    assert toolchain.go_version(text) == version


def test_a_tool_is_built_again_when_its_module_or_its_flags_change(tmp_path: Path) -> None:
    """The stamp is what makes a warm start warm, and it must never keep an old program."""
    (tmp_path / "go.mod").write_text("module x")
    tool = toolchain.Tool(module="x", programs=("x",), minutes="1 min")
    before = toolchain.fingerprint(tool, tmp_path)

    flags = toolchain.Tool(module="x", programs=("x",), minutes="1 min", link_flags="-X a=b")
    assert toolchain.fingerprint(flags, tmp_path) != before

    (tmp_path / "go.sum").write_text("y")
    assert toolchain.fingerprint(tool, tmp_path) != before


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount() -> None:
    """/srv on a disk of its own is no overlay, although / is one."""
    mounts = "overlay / overlay rw 0 0\n/dev/b /srv ext4 rw 0 0\n/dev/c /srv-old xfs rw 0 0\n"

    assert filesystem_of(Path("/srv/project"), mounts) == "ext4"
    assert filesystem_of(Path("/opt"), mounts) == "overlay"


def test_cgroups_of_both_versions(tmp_path: Path) -> None:
    """Version 2 has one hierarchy, version 1 one for each controller."""
    for controller in ("cpu", "memory"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    (tmp_path / "cpuacct").symlink_to("cpu")

    assert kernel.hierarchies(tmp_path) == (tmp_path / "cpu", tmp_path / "memory")

    (tmp_path / "cgroup.controllers").touch()
    assert kernel.hierarchies(tmp_path) == (tmp_path,)


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        # As the kernel has them: one process that is alone counts 1024, and 100.
        (("cpu/cgroup.procs", "cpu/dev/cpu.shares"), {"cpu/dev/cpu.shares": "8192"}),
        (("cgroup.controllers", "dev/cpu.weight"), {"dev/cpu.weight": "800"}),
        (("memory/cgroup.procs", "memory/dev/memory.max"), {"memory/dev/memory.max": ""}),
    ],
)
def test_pods_get_the_time_of_several_processes(
    tmp_path: Path, files: tuple[str, ...], weights: dict[str, str]
) -> None:
    """Else a few that work outside of their cgroup would starve all of them together."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    kernel.create_cgroup(Layout("dev", tmp_path, Port(1, "A"), None), tmp_path)

    assert {name: (tmp_path / name).read_text() for name in weights} == weights


def test_only_missing_packages_are_installed(tmp_path: Path) -> None:
    """A machine that has all is not touched."""
    there = tmp_path / "there"
    there.touch()

    needed = {str(there): "one", str(tmp_path / "not"): "two", "sh": "three", "no-such": "four"}

    assert packages.missing(needed) == ["four", "two"]


def test_the_end_of_a_log(tmp_path: Path) -> None:
    """Twenty lines, and none if the component never wrote."""
    log = tmp_path / "log"
    log.write_text("\n".join(str(number) for number in range(100)))

    assert last_lines(log) == [str(number) for number in range(80, 100)]
    assert last_lines(tmp_path / "none") == []


def test_doors() -> None:
    """Descriptor and port as the plan writes them."""
    assert doors_of(["7:16443", "8:8000"]) == [(7, 16443), (8, 8000)]


def test_certificates_name_what_is_called_and_kubeconfigs_who_calls(tmp_path: Path) -> None:
    """RBAC knows the node by its user and group, clients know the server by its addresses."""
    layout = Layout("agentherd", tmp_path, Port(1, "A"), None)

    certificates.write_all(layout, datetime.datetime.now(datetime.UTC))

    server = x509.load_pem_x509_certificate((layout.pki / "server.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert NODE_ADDRESS in [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    kubelet = yaml.safe_load((layout.pki / "kubelet.kubeconfig").read_text())
    assert kubelet["users"][0]["name"] == "system:node:agentherd"
    assert (layout.pki / "ca.key").stat().st_mode & 0o077 == 0
    assert layout.kubeconfig.stat().st_mode & 0o077 == 0
