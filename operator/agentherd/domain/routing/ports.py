"""Which port of a version requests go to, and whether they still can when the version changes.

A Service and a route send to one port, whichever version answers. So a port has to mean the same in
the old version and in the new one: in a Service that both share by its name, which every pod looks
up for itself, or by its number where it has no name; in a route by the port of `spec.traffic`; and
in a route that a person wrote by the numbers that stand there. Where it does not, no order of
writes leads from the one to the other without an interruption, so the change is not begun.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from agentherd.api import Traffic
from agentherd.domain.faults import Fault
from agentherd.domain.reasons import Reason
from agentherd.domain.revision import Revision
from agentherd.domain.template import container_ports

_OR_STOP: Final = "or set replicas to 0 for the change"
"""What always works: where nobody is served, a change takes effect at once."""


def served_port(traffic: Traffic | None, revision: Revision) -> int | None:
    """The port of a revision that requests go to: the one that is named, else the first."""
    wanted = traffic.port if traffic is not None else None
    for port in container_ports(revision.template):
        if wanted is None or wanted in {port["name"], port["port"]}:
            number: int = port["port"]
            return number
    return None


def unresolved(traffic: Traffic, revision: Revision, what: str) -> Fault | None:
    """Why an own route finds no port in a revision, which is called `what`; or None."""
    if served_port(traffic, revision) is not None:
        return None
    if traffic.port is None:
        return Fault(
            Reason.PORT_NOT_FOUND, f"{what} has no port, and spec.traffic needs one; add it"
        )
    return Fault(
        Reason.PORT_NOT_FOUND,
        f"spec.traffic.port {traffic.port} is not among the ports of {what} ({_told(revision)}); "
        "give the port one name in all versions and set spec.traffic.port to that name",
    )


def unreferred(referred: Collection[int], new: Revision, route: str) -> Fault | None:
    """Why a route that a person wrote would find nobody in a new version; or None.

    `referred` are the ports of the Agent's Service that the route sends to.
    """
    missing = sorted(set(referred) - {port["port"] for port in container_ports(new.template)})
    if not missing:
        return None
    return Fault(
        Reason.PORT_NOT_FOUND,
        f"{route} sends to port {missing[0]}, which is not among the ports of the new version "
        f"({_told(new)}); keep it beside the new one until the route is changed, {_OR_STOP}",
    )


def unshared(old: Revision, new: Revision) -> Fault | None:
    """Why the pods of two versions cannot stand behind one Service; or None.

    A port that is only taken away is no fault: nobody is to be answered there any more.
    """
    before, after = container_ports(old.template), container_ports(new.template)
    lost = [port for port in before if not _is_among(port, after)]
    gained = {_meaning(port) for port in after} - {_meaning(port) for port in before}
    if not lost or not gained:
        return None
    port = lost[0]["targetPort"]
    remedy = "keep its name" if isinstance(port, str) else "give it a name first"
    return Fault(
        Reason.PORT_NOT_FOUND,
        f"port {port} of the old version is not among those of the new one ({_told(new)}), and "
        f"both stand behind one Service; {remedy}, {_OR_STOP}",
    )


def _is_among(port: dict[str, Any], others: Collection[dict[str, Any]]) -> bool:
    """Whether what the Service looks for of a port is there: its name, else its number."""
    if _meaning(port) in {_meaning(other) for other in others}:
        return True
    numbers = {(other["port"], other["protocol"]) for other in others}
    return (port["targetPort"], port["protocol"]) in numbers


def _meaning(port: dict[str, Any]) -> tuple[int | str, str]:
    return port["targetPort"], port["protocol"]


def _told(revision: Revision) -> str:
    return ", ".join(str(port["targetPort"]) for port in container_ports(revision.template)) or (
        "it has none"
    )
