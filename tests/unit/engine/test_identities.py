"""Pods run as the account that the operator has made for them, and never as somebody else's."""

from __future__ import annotations

from typing import Any

from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, CONFIG_MAP, POD, REPLICA_SET, SERVICE_ACCOUNT
from agentherd.engine.reconciler import FORBIDDEN_RETRY

ACCOUNT = {"metadata": {"name": "agentherd-greeter", "namespace": "default"}}


def lived(*, template: dict[str, Any] | None = None, freed: bool = False) -> Twin:
    """The cluster after a while in which somebody else's account has the name of the Agent's."""

    async def live() -> Twin:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(SERVICE_ACCOUNT, ACCOUNT)
        spec = {"template": template} if template else {}
        twin.put(AGENT, raw_agent(replicas=1, **spec))
        await rig.live(seconds=3)
        if freed:
            twin.remove(SERVICE_ACCOUNT, "agentherd-greeter")
            await rig.live(seconds=int(FORBIDDEN_RETRY.total_seconds()) + 3)
        return twin

    return in_fake_time(live)


def test_nothing_runs_as_the_account_of_somebody_else() -> None:
    """Whoever may write an Agent would else be whoever that account is."""
    twin = lived()

    assert not twin.all(REPLICA_SET)
    assert not twin.all(POD)
    ready, *_ = twin.live(AGENT, "greeter")["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "NameTaken")


def test_it_runs_once_the_name_is_free() -> None:
    """Nobody has to touch the Agent for it."""
    assert lived(freed=True).all(POD)


def test_one_that_names_its_account_runs_as_that() -> None:
    """Who may is for the API server to say."""
    spec = raw_agent()["spec"]["template"]["spec"]

    twin = lived(template={"spec": {**spec, "serviceAccountName": "mine"}})

    (pod,) = twin.all(POD)
    assert pod["spec"]["serviceAccountName"] == "mine"


def test_what_runs_keeps_its_config_when_its_account_is_taken() -> None:
    """The pods have it mounted, and one whose container starts again needs it."""

    async def live() -> tuple[list[str], list[str]]:
        twin = Twin(loop_clock)
        rig = Rig(twin, controllers=Controllers(twin))
        twin.put(AGENT, raw_agent(replicas=1, config={"prompt": "hi"}, configUpdate="InPlace"))
        await rig.live(seconds=3)
        before = twin.names(CONFIG_MAP)
        twin.remove(SERVICE_ACCOUNT, "agentherd-greeter")
        twin.put(SERVICE_ACCOUNT, ACCOUNT)
        await rig.live(seconds=3)
        return before, twin.names(CONFIG_MAP)

    before, after = in_fake_time(live)

    assert before == after == ["agentherd-greeter"]
