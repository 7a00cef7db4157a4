"""A cluster of the user's own gets what is missing and keeps what it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from devcluster.errors import ClusterError
from devcluster.images import Image
from devcluster.layout import normal
from devcluster.progress import Progress
from devcluster.providers import Current, nodes_without

IMAGE = Image("localhost/agentherd/operator:dev", Path("operator.tar"), "1")

KUBECTL = """#!/bin/sh
echo "$@" >> "$SAID/calls"
case "$*" in
  *current-context*) echo mine ;;
  "get nodes"*) cat "$SAID/nodes" ;;
  "get crd/"*) cat "$SAID/definitions" ;;
  delete*) cat > "$SAID/deleted" ;;
esac
"""


class Asked:
    """A kubectl that notes what it was asked and answers what it was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answer(nodes=json.dumps({"items": []}), definitions="")

    def answer(self, **texts: str) -> None:
        """Say this from now on."""
        for name, text in texts.items():
            (self._folder / name).write_text(text)

    def __getattr__(self, name: str) -> str:
        return (self._folder / name).read_text()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SAID", str(tmp_path))
    return Asked(tmp_path)


@pytest.fixture
def mine() -> Current:
    return Current(normal({}), Progress())


def node(name: str, *images: str) -> dict[str, Any]:
    """A node that tells of images."""
    return {"metadata": {"name": name}, "status": {"images": [{"names": list(images)}]}}


def test_definitions_of_the_gateway_api_that_are_there_are_left_alone(
    asked: Asked, mine: Current
) -> None:
    """They may be of another version or channel, and others depend on them."""
    asked.answer(definitions="customresourcedefinition/gateways.gateway.networking.k8s.io")

    mine.define_gateway_api()

    assert "apply" not in asked.calls


def test_an_image_that_no_registry_has_is_taken_from_the_nodes(asked: Asked, mine: Current) -> None:
    """It was imported there by whatever the cluster offers for that."""
    asked.answer(nodes=json.dumps({"items": [node("a", IMAGE.reference)]}))

    mine.load(IMAGE)

    assert "get nodes" in asked.calls


def test_a_node_without_the_image_is_named_with_the_way_to_give_it_one(
    asked: Asked, mine: Current
) -> None:
    """Pods that wait for an image that cannot be pulled would tell much later, and less."""
    nodes = [node("a", IMAGE.reference), node("b", "other:1")]
    asked.answer(nodes=json.dumps({"items": nodes}))

    with pytest.raises(ClusterError, match=r"node b of context mine .*import operator\.tar"):
        mine.load(IMAGE)


def test_what_was_added_to_the_cluster_is_removed_from_it(asked: Asked, mine: Current) -> None:
    """And nothing else: definitions of the Gateway API may have other users by now, and somebody
    who runs Traefik has a class of its name."""
    mine.stop()

    gone = [each for each in yaml.safe_load_all(asked.deleted) if each]
    assert all(
        "agentherd" in each["metadata"].get("namespace", each["metadata"]["name"]) for each in gone
    )
    assert {"Namespace", "Deployment", "Gateway"} <= {each["kind"] for each in gone}
    assert "CustomResourceDefinition" not in {each["kind"] for each in gone}


def test_nodes_that_tell_of_no_images_do_not_have_it() -> None:
    """A node that has just joined has no status of that kind."""
    nodes = [node("a", "x:1", "x@sha256:0"), {"metadata": {"name": "b"}, "status": {}}]

    assert nodes_without("x:1", nodes) == ["b"]
    assert nodes_without("y:1", nodes) == ["a", "b"]
