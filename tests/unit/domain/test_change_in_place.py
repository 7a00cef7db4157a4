"""A config that all pods share cannot be tried on some of them."""

from __future__ import annotations

import pytest
from tests.twin.samples import agent
from tests.unit.domain.samples import kept, seen_upgrade, upgraded

from agentherd.domain.reasons import Reason
from agentherd.domain.revision import revision_of
from agentherd.domain.upgrades.change import choose


@pytest.mark.parametrize(
    ("update", "objection"), [("InPlace", Reason.TEMPLATE_CONFLICT), ("Rollout", None)]
)
def test_an_upgrade_to_another_config_needs_pods_of_its_own(
    update: str, objection: Reason | None
) -> None:
    """With a config that is reloaded in place it would change nothing, or lack its volume."""
    one = agent(replicas=2, configUpdate=update)
    stable = revision_of(one.spec).hash
    record = kept(one)
    asked = seen_upgrade("by-hand", to={"config": {"a": "1"}})
    seen = upgraded(one, asked, stable=stable, target=stable, revisions={record.name: record})

    found = choose(seen).objections["by-hand"]

    assert (found.reason if found else None) == objection
