"""Which cluster a machine gets."""

from __future__ import annotations

import pytest
from devcluster.errors import NothingPossible
from devcluster.layout import normal
from devcluster.providers import Machine, Origin, choose, kind_configuration


@pytest.mark.parametrize(
    ("machine", "origin"),
    [
        (Machine(use_current_context=True, docker=True, linux=True, root=True), Origin.CURRENT),
        (Machine(use_current_context=True, docker=False, linux=False, root=False), Origin.CURRENT),
        (Machine(use_current_context=False, docker=True, linux=True, root=True), Origin.KIND),
        (Machine(use_current_context=False, docker=True, linux=False, root=False), Origin.KIND),
        (Machine(use_current_context=False, docker=False, linux=True, root=True), Origin.LOCAL),
    ],
)
def test_the_users_own_cluster_comes_first_then_docker_then_this_machine(
    machine: Machine, origin: Origin
) -> None:
    """The order is the promise of `make cluster-up`."""
    assert choose(machine) is origin


@pytest.mark.parametrize(("linux", "advice"), [(True, "run as root"), (False, "use Linux")])
def test_where_nothing_is_possible_one_sentence_says_what_is_needed(
    linux: bool, advice: str
) -> None:
    """Exit code 2 tells scripts that it is the machine and not the cluster."""
    machine = Machine(use_current_context=False, docker=False, linux=linux, root=not linux)

    with pytest.raises(NothingPossible) as raised:
        choose(machine)

    sentence = str(raised.value)
    assert advice in sentence
    assert "USE_CURRENT_CONTEXT=1" in sentence
    assert "\n" not in sentence
    assert raised.value.exit_code == 2


def test_kind_gets_the_gateways_port_of_the_layout() -> None:
    """The Gateway answers at the same address on every provider, also when moved."""
    layout = normal({"AGENTHERD_GATEWAY_PORT": "8123"})

    assert "hostPort: 8123" in kind_configuration(layout)
