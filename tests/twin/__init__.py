"""A cluster in memory, for the logic of the operator; the truth is a real cluster's business.

`Twin` has the verbs of `Cluster`; `Controllers` play the rest of the cluster. `Rig` is an
operator around them that is driven by hand, one step at a time, so that a test says when it is
killed. `FakeTimeLoop` jumps to the next timer instead of waiting for it.
"""

from tests.twin.cluster import Killed, Request, Twin
from tests.twin.controllers import Controllers
from tests.twin.fake_time import FakeTimeLoop, in_fake_time
from tests.twin.rig import Rig
from tests.twin.samples import NOON, agent, raw_agent, raw_upgrade

__all__ = [
    "NOON",
    "Controllers",
    "FakeTimeLoop",
    "Killed",
    "Request",
    "Rig",
    "Twin",
    "agent",
    "in_fake_time",
    "raw_agent",
    "raw_upgrade",
]
