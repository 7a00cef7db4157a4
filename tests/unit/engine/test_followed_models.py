"""An Agent that is restarted by swaps of its model, as long as people go on swapping."""

from __future__ import annotations

from tests.twin import Controllers, Rig, Twin, in_fake_time, raw_agent, raw_upgrade
from tests.twin.models import raw_model
from tests.twin.rig import loop_clock

from agentherd.api import ModelDeployment
from agentherd.domain.decide import decide
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, Key
from agentherd.engine.observe import agent_observer

KEPT_SECONDS = 31


def serving(version: str | None) -> ModelDeployment:
    """A model of which that version is active, or whose first pods serve before there is any."""
    available = {
        "type": "Available",
        "status": "True",
        "reason": "AllAvailable",
        "message": "",
        "lastTransitionTime": "2026-11-21T12:00:00Z",
        "observedGeneration": 1,
    }
    status = {"conditions": [available]} | ({"activeVersion": version} if version else {})
    return ModelDeployment.model_validate(raw_model() | {"status": status})


class Following(Rig):
    """An operator that sees `model`."""

    model = serving("v1")

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin, controllers=Controllers(twin))
        self.observe = agent_observer(
            self.store, self.mounts, self.pods, find_model=lambda _: self.model
        )
        self.reconciler._observe = self.observe


def test_every_swap_of_a_model_that_goes_back_and_forth_is_followed() -> None:
    """The spec of the Agent is the same all the while, so its upgrades have to differ."""

    async def live() -> list[str]:
        twin = Twin(loop_clock)
        rig = Following(twin)
        reference = {"name": "embedder", "restartOnSwap": True}
        twin.put(AGENT, raw_agent(modelRef=reference, upgradePolicy={"type": "BlueGreen"}))
        await rig.until_quiet()
        found = []
        for version in ("v2", "v1", "v2", "v1", "v2", "v1"):
            rig.model = serving(version)
            rig.reconciler.queue.add(Key("default", "greeter"))
            await rig.until_quiet(patience=KEPT_SECONDS)
            stable = twin.live(AGENT, "greeter")["status"]["stableRevision"]
            record = next(v for v in rig.seen().revisions.values() if v.revision == stable)
            found.append(str(record.data["modelVersion"]))
        assert decide(rig.seen(), loop_clock()).intents == ()
        phases = {raw["status"]["phase"] for raw in twin.all(AGENT_UPGRADE)}
        assert phases == {"Succeeded"}
        return found

    assert in_fake_time(live) == ["v2", "v1", "v2", "v1", "v2", "v1"]


def test_an_agent_that_a_person_takes_back_says_so_until_the_next_swap() -> None:
    """Its spec cannot name the version of the model, so it goes on asking for the active one."""

    async def live() -> list[tuple[str, str]]:
        twin = Twin(loop_clock)
        rig = Following(twin)
        reference = {"name": "embedder", "restartOnSwap": True}
        twin.put(AGENT, raw_agent(modelRef=reference, upgradePolicy={"type": "BlueGreen"}))
        await rig.until_quiet()
        first = twin.live(AGENT, "greeter")["status"]["stableRevision"]
        rig.model = serving("v2")
        rig.reconciler.queue.add(Key("default", "greeter"))
        await rig.until_quiet(patience=KEPT_SECONDS)
        twin.put(AGENT_UPGRADE, raw_upgrade("back", to={"revision": first}))
        await rig.until_quiet(patience=KEPT_SECONDS)
        back = _told(twin)
        rig.model = serving("v3")
        rig.reconciler.queue.add(Key("default", "greeter"))
        await rig.until_quiet(patience=KEPT_SECONDS)
        return [back, _told(twin)]

    back, swapped = in_fake_time(live)
    assert back[0] == "Online"
    assert "Stalled: upgrade back has put revision" in back[1]
    assert swapped == ("Online", "")


def _told(twin: Twin) -> tuple[str, str]:
    """The phase, and why it is not as the spec asks for."""
    status = twin.live(AGENT, "greeter")["status"]
    wrong = (c for c in status["conditions"] if c["type"] in {"Stalled", "Reconciling"})
    return status["phase"], "".join(f"{c['type']}: {c['message']}" for c in wrong)


def test_a_model_whose_last_pod_is_loaded_later_restarts_nobody() -> None:
    """What its first pods serve is the version that is active with the last of them."""

    async def live() -> list[str]:
        twin = Twin(loop_clock)
        rig = Following(twin)
        rig.model = serving(None)
        twin.put(AGENT, raw_agent(modelRef={"name": "embedder", "restartOnSwap": True}))
        await rig.until_quiet()
        rig.model = serving("v1")
        rig.reconciler.queue.add(Key("default", "greeter"))
        await rig.until_quiet(patience=KEPT_SECONDS)
        return twin.names(AGENT_UPGRADE)

    assert in_fake_time(live) == []
