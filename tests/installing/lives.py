"""Agents, upgrades and models at the moments at which tools that wait for them look.

They are written by the operator itself, in a cluster that is played, so what is told of them is
what it says today. Time is played as well: an hour of waiting takes no time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.twin import Rig, Twin, in_fake_time, raw_agent, raw_upgrade
from tests.twin.models import NAME, ModelRig, raw_model
from tests.twin.rig import loop_clock

from agentherd.domain.kinds import AGENT, AGENT_UPGRADE, MODEL_DEPLOYMENT

Object = dict[str, Any]
Moments = dict[str, Object]
"""By a name of the moment: the object as an API server would give it."""

LONG = 60
"""Seconds in which everything happens that is going to by itself."""

WAITS = {"canary": {"steps": [{"weight": 50, "pause": {}}]}, "abortScaleDownDelaySeconds": 0}
"""A canary that a person has to let go on."""

UNSEEN = {"observedGeneration": -1}
"""The status that the API server makes."""

UNMANAGED = {"metadata": {"annotations": {"agentherd.dev/unmanaged": "true"}}}
"""A patch that has the operator keep its hands off."""


@cache
def moments() -> Moments:
    """All of them."""
    lives = (_changed, _modes, _asked_for, _broken, _model)
    return {name: found for life in lives for name, found in in_fake_time(life).items()}


async def _changed() -> Moments:
    rig = Rig(Twin(loop_clock))
    twin = rig.twin
    spec: Object = {"replicas": 2, "upgradePolicy": WAITS}
    found = {"agent that is new": twin.put(AGENT, raw_agent(status=UNSEEN, **spec))}
    await rig.until_quiet(patience=LONG)
    found["agent that is up"] = twin.live(AGENT, "greeter")
    template = raw_agent(image="agent:2")["spec"]["template"]
    found["agent that has changed"] = twin.edit(AGENT, "greeter", {"spec": {"template": template}})
    await rig.until_quiet(patience=LONG)
    found["agent whose upgrade waits"] = twin.live(AGENT, "greeter")
    found["upgrade that waits"] = twin.live(AGENT_UPGRADE, "greeter-2")
    twin.edit(AGENT_UPGRADE, "greeter-2", {"spec": {"rollback": {"requested": True}}})
    await rig.until_quiet(patience=LONG)
    found["agent that was rolled back"] = twin.live(AGENT, "greeter")
    found["upgrade that was rolled back"] = twin.live(AGENT_UPGRADE, "greeter-2")
    return found


async def _modes() -> Moments:
    rig = Rig(Twin(loop_clock))
    rig.twin.put(AGENT, raw_agent())
    found: Moments = {}
    for mode in ("Running", "Suspended", "Maintenance", "Offline"):
        rig.twin.edit(AGENT, "greeter", {"spec": {"operatingMode": mode}})
        await rig.until_quiet(patience=LONG)
        found[f"agent in mode {mode}"] = rig.twin.live(AGENT, "greeter")
    return found


async def _asked_for() -> Moments:
    rig = Rig(Twin(loop_clock))
    twin = rig.twin
    twin.put(AGENT, raw_agent(upgradePolicy=WAITS))
    await rig.until_quiet(patience=LONG)
    lost = raw_upgrade("lost", targetRef={"name": "nobody"}, to={"version": "2.0.0"})
    twin.put(AGENT_UPGRADE, lost)
    asked = raw_upgrade("asked", to={"version": "2.0.0"}, approval={"required": True})
    twin.put(AGENT_UPGRADE, asked)
    await rig.until_quiet(patience=LONG)
    found = {
        "upgrade of nobody": twin.live(AGENT_UPGRADE, "lost"),
        "upgrade without approval": twin.live(AGENT_UPGRADE, "asked"),
    }
    twin.remove(AGENT_UPGRADE, "asked")
    twin.put(AGENT_UPGRADE, raw_upgrade("first", to={"version": "3.0.0"}))
    await rig.until_quiet(patience=LONG)
    twin.edit(AGENT, "greeter", {"spec": {"version": "4.0.0"}})
    await rig.until_quiet(patience=LONG)
    found["upgrade that was superseded"] = twin.live(AGENT_UPGRADE, "first")
    (running,) = set(twin.names(AGENT_UPGRADE)) - {"lost", "first"}
    twin.edit(AGENT_UPGRADE, running, {"spec": {"promote": {"full": True}}})
    await rig.until_quiet(patience=LONG)
    found["upgrade that has succeeded"] = twin.live(AGENT_UPGRADE, running)
    return found


async def _broken() -> Moments:
    rig = Rig(Twin(loop_clock))
    rig.controllers.sick_images = {"agent:1": "ImagePullBackOff"}
    rig.twin.put(AGENT, raw_agent(progressDeadlineSeconds=300))
    await rig.until_quiet()
    found = {"agent that cannot start": rig.twin.live(AGENT, "greeter")}
    await rig.until_quiet(patience=400)
    found["agent that is late"] = rig.twin.live(AGENT, "greeter")
    rig.twin.edit(AGENT, "greeter", UNMANAGED)
    await rig.until_quiet(patience=LONG)
    found["agent that is not managed"] = rig.twin.live(AGENT, "greeter")
    return found


async def _model() -> Moments:
    rig = ModelRig(Twin(loop_clock))
    twin = rig.twin
    rig.controllers.sick_images = {"model:v2": "ImagePullBackOff"}
    twin.put(MODEL_DEPLOYMENT, raw_model(upgradePolicy=WAITS))
    await rig.until_quiet(patience=LONG)
    found = {"model that is up": twin.live(MODEL_DEPLOYMENT, NAME)}
    twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": {"activeVersion": "v3"}})
    await rig.until_quiet(patience=LONG)
    found["model whose swap waits"] = twin.live(MODEL_DEPLOYMENT, NAME)
    twin.edit(MODEL_DEPLOYMENT, NAME, {"spec": {"activeVersion": "v2"}})
    await rig.until_quiet(patience=LONG)
    found["model that was rolled back"] = twin.live(MODEL_DEPLOYMENT, NAME)
    twin.edit(MODEL_DEPLOYMENT, NAME, UNMANAGED)
    await rig.until_quiet(patience=LONG)
    found["model that is not managed"] = twin.live(MODEL_DEPLOYMENT, NAME)
    return found
