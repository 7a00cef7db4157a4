"""What the phases of an upgrade have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentherd.api import UpgradePhase
from agentherd.domain.reasons import Reason

MOVING: Final = frozenset({UpgradePhase.PROGRESSING, UpgradePhase.PAUSED, UpgradePhase.PROMOTING})
"""On the way to the new version."""

ENDED: Final[Mapping[UpgradePhase, Reason]] = {
    UpgradePhase.SUCCEEDED: Reason.UPGRADE_SUCCEEDED,
    UpgradePhase.ROLLED_BACK: Reason.ROLLED_BACK,
    UpgradePhase.SUPERSEDED: Reason.SUPERSEDED,
}
"""Nothing happens by itself any more; the word for each end."""
