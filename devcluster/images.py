"""The images of the project: which there are, when they are stale, and how they are built.

Two are a single static program (`archive`). The others have a Dockerfile: with Docker it is built
on the base that it names itself; without, by buildah on a base made of the distribution's packages,
as then no registry can be asked. An image is stale when its Dockerfile, a file that the Dockerfile
copies, or its base has changed. Every image is kept as an archive below .cache/images, so loading
it into a cluster needs no builder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import archive, packages, toolchain
from devcluster.command import run
from devcluster.filesystem import on_overlay
from devcluster.layout import BIN, CACHE, IMAGES, ROOT
from devcluster.processes import PAUSE_IMAGE
from devcluster.progress import Progress

TRAEFIK_IMAGE = f"localhost/agentherd/traefik:{toolchain.TRAEFIK_VERSION}"
PUBLISHED_TRAEFIK = f"docker.io/library/traefik:v{toolchain.TRAEFIK_VERSION}"
BASE_IMAGE = "localhost/agentherd/base:bookworm"
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Image:
    """An archive of an image; `version` changes with its content."""

    reference: str
    path: Path
    version: str


@dataclass(frozen=True)
class Recipe:
    """An image with a Dockerfile; the context is the Dockerfile's directory.

    `target` is the stage that it is, which only a Dockerfile of several images has to be told. One
    that is `timeless` is the same whenever it is built on the same base.
    """

    reference: str
    dockerfile: Path
    target: str | None = None
    timeless: bool = False


EXAMPLES = ROOT / "examples"
SAMPLE_MODEL = EXAMPLES / "model-server" / "Dockerfile"

OPERATOR = Recipe("localhost/agentherd/operator:dev", ROOT / "Dockerfile", timeless=True)

RECIPES = (
    OPERATOR,
    Recipe("localhost/agentherd/sample-agent:dev", EXAMPLES / "sample-agent" / "Dockerfile"),
    Recipe("localhost/agentherd/sample-model-dummy:dev", SAMPLE_MODEL, target="dummy"),
    Recipe("localhost/agentherd/sample-model:dev", SAMPLE_MODEL, target="model"),
)


def archive_path(reference: str) -> Path:
    """Where the archive of an image is."""
    return IMAGES / f"{re.sub('[^a-z0-9.]+', '-', reference.lower())}.tar"


def pause(progress: Progress) -> Image:
    """The image that holds a pod's namespaces."""
    toolchain.build(toolchain.PAUSE, progress)
    return _of_program(PAUSE_IMAGE, BIN / "pause", progress)


def traefik(progress: Progress) -> Image:
    """The Gateway's data plane."""
    return _of_program(TRAEFIK_IMAGE, toolchain.traefik(progress), progress)


def _of_program(reference: str, program: Path, progress: Progress) -> Image:
    path = archive_path(reference)
    facts = program.stat()
    version = f"{facts.st_size}-{facts.st_mtime_ns}"
    stamp = path.with_suffix(".stamp")
    if not (path.exists() and stamp.exists() and stamp.read_text() == version):
        progress.say(f"writing image {reference}")
        archive.write(path, reference=reference, program=program)
        stamp.write_text(version)
    return Image(reference, path, version)


def build_all(progress: Progress, *, docker: bool) -> list[Image]:
    """Build what is missing or stale of the images with a Dockerfile."""
    return [build(recipe, progress, docker=docker) for recipe in RECIPES]


def build(recipe: Recipe, progress: Progress, *, docker: bool) -> Image:
    """Build one image unless its archive is good."""
    path = archive_path(recipe.reference)
    stamp = path.with_suffix(".stamp")
    base = "docker" if docker else base_version()
    version = context_version(recipe.dockerfile, base=base)
    if not (path.exists() and stamp.exists() and stamp.read_text() == version):
        IMAGES.mkdir(parents=True, exist_ok=True)
        if docker:
            _build_with_docker(recipe, path, progress)
        else:
            _build_with_buildah(recipe, path, progress)
        stamp.write_text(version)
    return Image(recipe.reference, path, version)


def context_version(dockerfile: Path, *, base: str) -> str:
    """Changes when the Dockerfile, a file it copies, or its base does."""
    digest = hashlib.sha256(base.encode())
    context = dockerfile.parent
    ignore = context / ".dockerignore"
    read = [dockerfile, *([ignore] if ignore.exists() else [])]
    for path in [*read, *_copied_files(dockerfile)]:
        digest.update(str(path.relative_to(context)).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _copied_files(dockerfile: Path) -> Iterator[Path]:
    context = dockerfile.parent
    for source in copied(dockerfile.read_text()):
        for top in sorted(context.glob(source.strip("/")) if source.strip("./") else [context]):
            found: Iterable[Path] = sorted(top.rglob("*")) if top.is_dir() else [top]
            yield from (path for path in found if path.is_file() and not _generated(path, context))


def _generated(path: Path, context: Path) -> bool:
    parts = path.relative_to(context).parts
    hidden = any(part.startswith(".") for part in parts[:-1])
    return hidden or "__pycache__" in parts or path.suffix == ".pyc"


def copied(dockerfile: str) -> list[str]:
    """What COPY and ADD take from the context, as patterns."""
    sources: list[str] = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        words = line.split()
        if not words or words[0].upper() not in ("COPY", "ADD"):
            continue
        if any(word.startswith("--from=") for word in words):
            continue
        sources += [word for word in words[1:] if not word.startswith("--")][:-1]
    return sources


def _build_with_docker(recipe: Recipe, path: Path, progress: Progress) -> None:
    context = recipe.dockerfile.parent
    with progress.step(f"building {recipe.reference} with Docker"):
        log = IMAGES / f"{path.stem}.log"
        run(["docker", "build", *_target(recipe), f"--tag={recipe.reference}", context], log=log)
        run(["docker", "save", "--output", path, recipe.reference])


def _build_with_buildah(recipe: Recipe, path: Path, progress: Progress) -> None:
    _ensure_base(progress)
    context = recipe.dockerfile.parent
    with progress.step(f"building {recipe.reference} with buildah"):
        _buildah(
            "bud",
            # Layers are kept, so that a change of a source file does not install everything again.
            *("--network=host", "--layers", "--pull-never", *_times(recipe)),
            *(f"--volume={source}:{target}:ro" for source, target in _host_files().items()),
            f"--build-arg=BASE={BASE_IMAGE}",
            *_target(recipe),
            f"--tag={recipe.reference}",
            f"--file={recipe.dockerfile}",
            str(context),
            log=IMAGES / f"{path.stem}.log",
        )
        _export(recipe.reference, path)


def _target(recipe: Recipe) -> list[str]:
    return [f"--target={recipe.target}"] if recipe.target else []


def _times(recipe: Recipe) -> list[str]:
    """What makes an image the same whenever it is built; Docker's format names the builder."""
    return ["--format=oci", "--timestamp=0"] if recipe.timeless else ["--format=docker"]


def base_version() -> str:
    """Changes with what the base image is made of."""
    return "-".join((BASE_SUITE, archive.architecture(), *BASE_PACKAGES))


def _ensure_base(progress: Progress) -> None:
    packages.ensure(packages.BUILD_IMAGES, progress)
    stamp = _storage() / "base.stamp"
    if stamp.exists() and stamp.read_text() == base_version():
        return
    tree = IMAGES / "base"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    with progress.step(f"making {BASE_IMAGE} of {BASE_SUITE}'s packages (about 1 min)"):
        mirror = os.environ.get("AGENTHERD_DEBIAN_MIRROR")
        run(
            [
                "unshare",
                "--mount",
                "debootstrap",
                "--variant=minbase",
                f"--include={','.join(BASE_PACKAGES)}",
                BASE_SUITE,
                tree,
                *([mirror] if mirror else []),
            ],
            log=IMAGES / "base.log",
        )
        shutil.rmtree(tree / "var" / "cache" / "apt", ignore_errors=True)
        for lists in (tree / "var" / "lib" / "apt" / "lists").glob("*_*"):
            lists.unlink()
        recipe = IMAGES / "base.Dockerfile"
        recipe.write_text("FROM scratch\nCOPY . /\nENV LANG=C.UTF-8\n")
        _buildah("bud", f"--tag={BASE_IMAGE}", f"--file={recipe}", str(tree))
    shutil.rmtree(tree)
    stamp.write_text(base_version())


def _storage() -> Path:
    return CACHE / "buildah"


def _buildah(*words: str, log: Path | None = None) -> None:
    storage = _storage()
    storage.mkdir(parents=True, exist_ok=True)
    # A mount namespace of its own, so that none of its mounts stays.
    run(
        [
            *("unshare", "--mount", "--propagation=private"),
            "buildah",
            f"--root={storage / 'storage'}",
            f"--runroot={storage / 'run'}",
            f"--storage-driver={'vfs' if on_overlay(storage) else 'overlay'}",
            *words,
        ],
        env={"BUILDAH_ISOLATION": "chroot"},
        log=log,
    )


def _export(reference: str, path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _buildah("push", reference, f"docker-archive:{partial}:{reference}")
    partial.replace(path)


def _host_files() -> Mapping[str, str]:
    """Files that let a build reach the package index the way this machine does."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    pip = IMAGES / "pip.conf"
    pip.write_text(pip_configuration(os.environ, _host_pip_configuration()))
    found = {str(pip): "/etc/pip.conf", "/etc/resolv.conf": "/etc/resolv.conf"}
    bundle = os.environ.get("SSL_CERT_FILE") or CERTIFICATES
    if Path(bundle).exists():
        found[bundle] = CERTIFICATES
    return found


def _host_pip_configuration() -> str:
    path = Path("/etc/pip.conf")
    return path.read_text() if path.exists() else ""


def pip_configuration(environment: Mapping[str, str], host: str) -> str:
    """The machine's pip.conf with what its environment says about the index.

    Paths of the machine (find-links) mean nothing inside of a build and are left out.
    """
    own = {
        "cert": CERTIFICATES,
        "index-url": environment.get("PIP_INDEX_URL") or environment.get("UV_DEFAULT_INDEX"),
        "extra-index-url": environment.get("PIP_EXTRA_INDEX_URL"),
        "trusted-host": environment.get("PIP_TRUSTED_HOST"),
        "proxy": environment.get("PIP_PROXY"),
        "timeout": environment.get("PIP_DEFAULT_TIMEOUT"),
    }
    given = {name: value for name, value in own.items() if value}
    kept = [
        line
        for line in host.splitlines()
        if line.split("=")[0].strip() not in {*given, "find-links", "[global]"}
    ]
    return "\n".join(["[global]", *(f"{k} = {v}" for k, v in given.items()), *kept]) + "\n"
