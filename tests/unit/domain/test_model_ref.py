"""An Agent that uses a model: it finds it, and another one is another revision."""

from __future__ import annotations

from tests.twin.samples import agent

from agentherd.api import ModelRef
from agentherd.domain.revision import FollowedModel, revision_of
from agentherd.domain.template import pod_template
from agentherd.domain.upgrades.change import promoted


def using(**reference: object) -> dict[str, object]:
    return {"modelRef": {"name": "embedder", **reference}}


def environment(one: dict[str, object]) -> dict[str, str]:
    used = agent(**one)
    (container,) = pod_template(used, revision_of(used.spec))["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_the_pods_find_the_model() -> None:
    """At the address of its Service, whichever version serves."""
    found = environment(using(port=9000))

    assert found["AGENTHERD_MODEL_URL"] == "http://embedder.default.svc:9000"


def test_another_model_is_another_revision() -> None:
    first, second = agent(**using()), agent(modelRef={"name": "other"})

    assert revision_of(first.spec).hash != revision_of(second.spec).hash
    assert promoted(second.spec, revision_of(first.spec)) == {"modelRef": {"name": "embedder"}}


def test_an_agent_without_a_model_is_the_revision_it_was() -> None:
    """The field costs nobody who does not use it a rollout."""
    assert "modelRef" not in revision_of(agent().spec).data


def test_a_swap_is_a_revision_only_where_it_is_to_be() -> None:
    reference = {"name": "embedder", "restart_on_swap": True}
    hashes = {
        revision_of(
            agent().spec.model_copy(
                update={"model_ref": FollowedModel.model_validate(reference | {"version": version})}
            )
        ).hash
        for version in ("v1", "v2")
    }
    still = agent().spec.model_copy(update={"model_ref": ModelRef.model_validate(reference)})

    assert len(hashes) == 2
    assert "modelVersion" not in revision_of(still).data
