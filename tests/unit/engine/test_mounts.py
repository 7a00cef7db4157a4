"""What the kubelet cannot mount is told by its Events alone."""

from __future__ import annotations

from typing import Any

import pytest

from agentherd.domain.kinds import KUBELET_EVENT, Key
from agentherd.engine.mounts import REPEATEDLY, MountFailures

POD = Key("default", "greeter-1-x")
EVENT = Key("default", "greeter-1-x.1")


def event(message: str, *, count: int | None = None) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": EVENT.name},
        "involvedObject": {"kind": "Pod", "name": POD.name, "uid": "u1"},
        "message": message,
        "count": count,
    }


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def mounts(woken: list[Key]) -> MountFailures:
    return MountFailures(wake=woken.append)


def test_what_does_not_exist_counts_at_once(mounts: MountFailures, woken: list[Key]) -> None:
    """It will not come by waiting."""
    mounts.put(KUBELET_EVENT, event('configmap "x" not found'))

    assert mounts.message("u1") == 'configmap "x" not found'
    assert woken == [POD]


@pytest.mark.parametrize(("count", "told"), [(None, False), (REPEATEDLY, True)])
def test_what_exists_has_to_fail_repeatedly(
    mounts: MountFailures, *, count: int | None, told: bool
) -> None:
    """A busy kubelet succeeds a moment later."""
    mounts.put(KUBELET_EVENT, event("timed out", count=count))

    assert (mounts.message("u1") is not None) is told


def test_an_event_that_the_server_forgets_is_forgotten(mounts: MountFailures) -> None:
    """Both by a watch and by a list; of another namespace nothing is said."""
    mounts.put(KUBELET_EVENT, event("x not found"))
    mounts.replace(KUBELET_EVENT, [], 1, "other")
    kept = mounts.message("u1")

    mounts.replace(KUBELET_EVENT, [], 1, None)
    mounts.drop(KUBELET_EVENT, EVENT, 1)

    assert kept == "x not found"
    assert mounts.message("u1") is None


def test_a_list_takes_in_what_it_holds(mounts: MountFailures) -> None:
    """A new process knows what the old one knew."""
    mounts.replace(KUBELET_EVENT, [event("x not found")], 1, None)

    assert mounts.message("u1") == "x not found"
