"""Whom the operator asks, whatever somebody writes into an Agent."""

from __future__ import annotations

import pytest

from agentherd.domain.judging.reach import Reach


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104  (an address to refuse)
        "100.100.100.200",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "239.1.1.1",
    ],
)
def test_addresses_that_are_nobodys_source_are_refused(address: str) -> None:
    assert Reach().refuses(address)


@pytest.mark.parametrize("address", ["10.96.0.10", "172.18.0.5", "8.8.8.8", "fd00:10:96::a"])
def test_addresses_in_and_around_a_cluster_are_not(address: str) -> None:
    assert not Reach().refuses(address)


def test_everybody_may_be_asked_unless_hosts_are_listed() -> None:
    some = Reach(hosts=("*.monitoring.svc", "judge"))

    assert Reach().allows("anybody")
    assert all(map(some.allows, ("prometheus.monitoring.svc", "JUDGE", "judge.")))
    assert not any(map(some.allows, ("prometheus.monitoring.svc.evil", "judge.evil", "")))
