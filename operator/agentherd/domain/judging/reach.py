"""Whom the operator asks for metrics, and whom it never does.

The addresses are written by whoever may write an Agent, and the operator stands where they do not.
It is nobody's way to what listens on its own machine only, nor to where a cloud tells machines
about themselves; that holds for the address that is dialled, since a name may lead anywhere.
Whoever runs the operator can name the hosts that may be asked at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

NOT_FOR_US: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",  # where clouds tell their machines about themselves, with credentials
        "100.100.100.200/32",  # the same, of one of them
        "224.0.0.0/4",
        "::/128",
        "::1/128",
        "fd00:ec2::254/128",  # the same, of another
        "fe80::/10",
        "ff00::/8",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Who may be asked: hosts by patterns such as `*.monitoring.svc`, all where there is none.

    `refused` are networks in which nobody is, whatever the name.
    """

    hosts: tuple[str, ...] = ()
    refused: tuple[IPv4Network | IPv6Network, ...] = NOT_FOR_US

    def allows(self, host: str) -> bool:
        """Whether the host of a URL may be asked."""
        name = host.lower().rstrip(".")
        return not self.hosts or any(fnmatchcase(name, each.lower()) for each in self.hosts)

    def refuses(self, address: str) -> bool:
        """Whether an address that is about to be dialled is out of bounds."""
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.refused)
