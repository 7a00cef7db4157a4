"""An image is built again when, and only when, something that goes into it has changed."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest
from devcluster import archive, images

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
COPY --chown=1:1 pyproject.toml \\
     uv.lock ./
COPY src src
FROM scratch
COPY --from=build / /
"""


def test_what_a_dockerfile_copies_from_its_context() -> None:
    """Options, continued lines and other stages are not files of the context."""
    assert images.copied(DOCKERFILE) == ["pyproject.toml", "uv.lock", "src"]


@pytest.mark.parametrize("recipe", images.RECIPES, ids=lambda recipe: recipe.reference)
def test_an_image_is_a_stage_that_its_dockerfile_has(recipe: images.Recipe) -> None:
    """Without a name it is the last one, and a Dockerfile of two images has two names."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", recipe.dockerfile.read_text(), re.MULTILINE)
    users = [other for other in images.RECIPES if other.dockerfile == recipe.dockerfile]

    assert recipe.target in stages if recipe.target else len(users) == 1


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "uv.lock").write_text("")
    (tmp_path / "src" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "main.py").write_text("one")
    return tmp_path


def version_of(context: Path) -> str:
    return images.context_version(context / "Dockerfile", base="base")


@pytest.mark.parametrize("changed", ["Dockerfile", "uv.lock", "src/main.py", "src/new.py"])
def test_an_image_is_stale_when_a_file_that_goes_into_it_changes(
    context: Path, changed: str
) -> None:
    """Otherwise a test would run yesterday's code."""
    before = version_of(context)

    with (context / changed).open("a") as file:
        file.write("\nCOPY more more" if changed == "Dockerfile" else "two")

    assert version_of(context) != before


@pytest.mark.parametrize("changed", ["notes.md", "src/__pycache__/main.pyc"])
def test_an_image_is_good_when_another_file_changes(context: Path, changed: str) -> None:
    """A build costs seconds that a warm demo does not have."""
    before = version_of(context)

    (context / changed).write_text("two")

    assert version_of(context) == before


def test_an_image_is_stale_when_its_base_changes(context: Path) -> None:
    """The base is part of what is shipped."""
    one = images.context_version(context / "Dockerfile", base="one")

    assert images.context_version(context / "Dockerfile", base="two") != one


def test_builds_reach_the_index_as_the_machine_does_but_not_its_directories() -> None:
    """The environment wins over the file; a local path means nothing inside of a build."""
    host = "[global]\ntimeout = 5\nfind-links = /opt/wheels\nretries = 3\n"

    text = images.pip_configuration(
        {"PIP_INDEX_URL": "https://i/", "PIP_DEFAULT_TIMEOUT": "9"}, host
    )

    assert "index-url = https://i/" in text
    assert "timeout = 9" in text
    assert "retries = 3" in text
    assert "find-links" not in text
    assert "timeout = 5" not in text


def test_an_image_of_a_program_can_be_run_and_is_always_the_same(tmp_path: Path) -> None:
    """An import without os or architecture is filtered out; other bytes would be another image."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")

    for name in ("one", "two"):
        archive.write(tmp_path / f"{name}.tar", reference="localhost/x:1", program=program)

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        config = json.load(image.extractfile(manifest["Config"]))  # type: ignore[arg-type]
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["Entrypoint"] == ["/program"]
    assert config["os"] == "linux"
    assert config["architecture"]
