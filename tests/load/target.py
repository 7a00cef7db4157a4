"""Where load may be sent, and how to get there.

A load generator aimed wrongly harms others. So a target is an address of this machine's loopback,
or one of the local cluster's networks as seen from inside its network namespace, which has no way
out. The one exception is the Gateway of a cluster that its user chose with USE_CURRENT_CONTEXT.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from devcluster.layout import NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK
from devcluster.progress import Progress
from devcluster.providers import Origin, find

INSIDE: Final = tuple(map(ipaddress.ip_network, (NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK)))


class NotOurs(Exception):
    """Load was to be sent to an address that is neither this machine nor its cluster."""

    def __init__(self, url: str) -> None:
        super().__init__(f"no load is sent to {url}: it is not an address of this machine's own")
        self.url = url


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server: `url` without a path, and the words that run a program where it answers."""

    url: str
    enter: tuple[str, ...] = ()
    chosen_by_user: bool = False

    def __post_init__(self) -> None:
        if not (self.chosen_by_user or _is_ours(self.url, inside=bool(self.enter))):
            raise NotOurs(self.url)


def gateway() -> Target:
    """The Gateway of the cluster.

    That of the local cluster is asked inside its namespace, past the door in front of it, which
    serves people well and 200 requests a second only just.
    """
    provider = find(Progress())
    chosen = provider.origin is Origin.CURRENT
    return Target(url=provider.gateway, enter=provider.enter, chosen_by_user=chosen)


def service(address: str, *, port: int) -> Target:
    """A Service or a pod of the local cluster, by its address."""
    return Target(url=f"http://{address}:{port}", enter=find(Progress()).enter)


def _is_ours(url: str, *, inside: bool) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (inside and any(address in network for network in INSIDE))
