"""What is kept of a Service."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent

from agentherd.domain import children
from agentherd.domain.revision import lost_revision, revision_of
from agentherd.domain.routing.services import ServiceView

PORTS: list[list[dict[str, Any]]] = [
    [{"containerPort": 8080}],
    [{"containerPort": 8080, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}],
    [],
]


@pytest.mark.parametrize("ports", PORTS, ids=str)
def test_a_service_tells_of_which_ports_it_was_made(ports: list[dict[str, Any]]) -> None:
    """The same Service follows from a revision of which only its name and these are known."""
    template = {"spec": {"containers": [{"name": "agent", "ports": ports}]}}
    one = agent(template=template)
    revision = revision_of(one.spec)
    made = children.service(one, revision, selected=revision.hash) or {"metadata": {"name": ""}}
    metadata = {"namespace": "default", "uid": "1", "resourceVersion": "1"} | made["metadata"]

    view = ServiceView.of(made | {"metadata": metadata})
    lost = lost_revision(revision.hash, view.container_ports)

    again = children.service(one, lost, selected=lost.hash)
    assert again == (made if ports else None)
