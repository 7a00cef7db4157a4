"""A port means the same in the old and in the new version, or the change is not begun."""

from __future__ import annotations

from typing import Any

import pytest
from tests.twin.samples import agent

from agentherd.api import Traffic
from agentherd.domain.faults import Fault
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision, revision_of
from agentherd.domain.routing.ports import served_port, unreferred, unresolved, unshared


def version(*ports: int | tuple[str, int]) -> Revision:
    """A revision whose container has these ports: numbers, or a name with a number."""
    written = [
        {"containerPort": port} if isinstance(port, int) else {"name": port[0]} | _number(port[1])
        for port in ports
    ]
    container = {"name": "a", "image": "a", "ports": written}
    return revision_of(agent(template={"spec": {"containers": [container]}}).spec)


def _number(port: int) -> dict[str, Any]:
    return {"containerPort": port}


def traffic(port: int | str | None = None) -> Traffic:
    return Traffic.model_validate({"parentRefs": [{"name": "gate"}], "port": port})


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(None, 9090), ("http", 8080), (8080, 8080), ("tcp-9090", 9090), ("other", None), (80, None)],
)
def test_requests_go_to_the_port_that_is_named_else_to_the_first(
    wanted: int | str | None, number: int | None
) -> None:
    """The first is the one written first, not the one with the lowest number."""
    assert served_port(traffic(wanted), version(9090, ("http", 8080))) == number


def test_a_port_that_an_own_route_needs_is_looked_for_in_words() -> None:
    """The message says what there is and what to do."""
    missing = unresolved(traffic("web"), version(("http", 8080)), "the new version")
    none = unresolved(traffic(), version(), "the new version")

    assert missing is not None
    assert none is not None
    assert missing.reason is none.reason is Reason.PORT_NOT_FOUND
    assert missing.message == (
        "spec.traffic.port web is not among the ports of the new version (http); give the port "
        "one name in all versions and set spec.traffic.port to that name"
    )
    assert none.message == "the new version has no port, and spec.traffic needs one; add it"
    assert unresolved(traffic("http"), version(("http", 9)), "the new version") is None


@pytest.mark.parametrize(
    ("new", "fault"),
    [(version(8080, 9090), False), (version(("web", 8080)), False), (version(9090), True)],
    ids=["both", "by another name", "gone"],
)
def test_a_route_that_a_person_wrote_finds_its_number_in_the_new_version(
    new: Revision, fault: bool
) -> None:
    """It stays as it is, so the Service has to have the port after the promotion too."""
    found = unreferred({8080}, new, "HTTPRoute shop")

    assert (found is not None) == fault


HTTP, HTTP_9090, WEB = version(("http", 8080)), version(("http", 9090)), version(("web", 8080))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (version(8080), version(8080), False),
        (HTTP, HTTP_9090, False),
        (version(8080), version(9090), True),
        (version(8080), HTTP, False),
        (HTTP, version(8080), True),
        (HTTP, WEB, True),
        (version(8080, 9090), version(8080), False),
        (version(8080), version(8080, 9090), False),
        (version(8080, 9090), version(8080, 9091), True),
        (HTTP, version(), False),
        (version(), HTTP, False),
    ],
    ids=[
        "the same",
        "another number of the same name",
        "another number",
        "a name for it",
        "its name is gone",
        "another name",
        "one taken away",
        "one more",
        "one of two",
        "all taken away",
        "the first",
    ],
)
def test_a_shared_service_needs_ports_that_mean_the_same_in_both(
    old: Revision, new: Revision, fault: bool
) -> None:
    """By name, or by number where there is none; what is only taken away is nobody's loss."""
    found: Fault | None = unshared(old, new)

    assert (found.reason if found else None) is (Reason.PORT_NOT_FOUND if fault else None)


def test_what_a_shared_service_lacks_is_told_with_what_to_do() -> None:
    """A name is the way to another number."""
    found, renamed = unshared(version(8080), version(9090)), unshared(HTTP, WEB)

    assert found is not None
    assert renamed is not None
    assert found.message == (
        "port 8080 of the old version is not among those of the new one (9090), and both stand "
        "behind one Service; give it a name first, or set replicas to 0 for the change"
    )
    assert "keep its name, or" in renamed.message
