"""What is kept of a Service: its ports, which may be all that is left to know of what serves.

They are in two shapes: as the API server gives them, with what it adds, and as the container ports
of which the same Service would be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from agentherd.domain.views import Child, Raw, written


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView(Child):
    """A Service of an Agent: number, protocol and name of each port; "" for one without a name."""

    ports: tuple[tuple[int, str, str], ...] = ()

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Keep the ports; the names that were given to those without one are left out."""
        child = replace(Child.of(raw), written=written(raw))
        return cls(
            **{field.name: getattr(child, field.name) for field in fields(child)},
            ports=tuple(_port(port) for port in raw.get("spec", {}).get("ports") or ()),
        )

    @property
    def names(self) -> Mapping[int, str]:
        """The name of each port by its number, as it stands in the Service."""
        return {number: name or _unnamed(protocol, number) for number, protocol, name in self.ports}

    @property
    def container_ports(self) -> Iterator[dict[str, Any]]:
        """The ports of containers to which the Service sends."""
        for number, protocol, name in self.ports:
            named = {"name": name} if name else {}
            yield {"containerPort": number, "protocol": protocol} | named


def _port(port: Raw) -> tuple[int, str, str]:
    protocol, number = port.get("protocol", "TCP"), port["port"]
    name = port.get("name", "")
    return number, protocol, "" if name == _unnamed(protocol, number) else name


def _unnamed(protocol: str, number: int) -> str:
    """The name that the port of a Service is given where that of a container has none."""
    return f"{protocol.lower()}-{number}"
