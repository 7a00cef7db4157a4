"""Images of one static program, written as an archive without any builder.

An image is a tar of layers and a description, so for a program that needs no file but itself this
is shorter than starting a builder, and the same on every provider. The bytes depend on nothing
but the program: same input, same image id.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(machine: str | None = None) -> str:
    """The machine's architecture as images name it."""
    name = machine or platform.machine()
    return ARCHITECTURES.get(name, name)


def write(target: Path, *, reference: str, program: Path, user: str = "65532:65532") -> None:
    """Write an image that runs `program`, which it has as /NAME."""
    target.parent.mkdir(parents=True, exist_ok=True)
    layer = target.with_suffix(".layer")
    try:
        with layer.open("wb") as sink:
            _write_layer(sink, program)
        with layer.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        config = _config(entrypoint=[f"/{program.name}"], user=user, layer=digest)
        partial = target.with_suffix(".partial")
        with tarfile.open(partial, "w") as archive:
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            layer_name = f"{digest}.tar"
            _add(archive, config_name, config)
            info = _entry(layer_name, size=layer.stat().st_size, mode=0o644)
            with layer.open("rb") as source:
                archive.addfile(info, source)
            manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]
            _add(archive, "manifest.json", json.dumps(manifest).encode())
        partial.replace(target)
    finally:
        layer.unlink(missing_ok=True)


def _write_layer(sink: IO[bytes], program: Path) -> None:
    with tarfile.open(fileobj=sink, mode="w") as layer, program.open("rb") as source:
        layer.addfile(_entry(program.name, size=program.stat().st_size, mode=0o755), source)


def _config(*, entrypoint: Sequence[str], user: str, layer: str) -> bytes:
    document = {
        "os": "linux",
        "architecture": architecture(),
        "config": {"Entrypoint": list(entrypoint), "User": user, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }
    return json.dumps(document, sort_keys=True).encode()


def _entry(name: str, *, size: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = mode
    return entry


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, size=len(content), mode=0o644), io.BytesIO(content))
