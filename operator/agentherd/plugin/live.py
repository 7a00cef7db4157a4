"""`watch`: what is seen of one upgrade, or of an Agent and whatever upgrade governs it.

A terminal gets one picture that is drawn anew, a pipe a line for each thing that happens. What is
watched has ended when nothing happens by itself any more and the operator has seen all that was
asked for; so a watch that is begun right after a change, or a retry, does not end too early.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from agentherd.api import Agent, AgentUpgrade, UpgradePhase
from agentherd.api.upgrade import PhaseChange
from agentherd.domain.kinds import AGENT, AGENT_UPGRADE
from agentherd.plugin.connection import Object
from agentherd.plugin.following import Sight
from agentherd.plugin.overview import agent_block, governing_of, upgrade_block
from agentherd.plugin.targets import read
from agentherd.plugin.terminal import coloured
from agentherd.plugin.words import clock, has_ended

SUCCEEDED: Final = 0
ROLLED_BACK: Final = 3
GONE: Final = 4

LATEST: Final = 5
"""How many entries of the history are shown below the picture."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """All that is known of what is watched.

    `agent` or `upgrade` is the name that was asked for, the other is None. `later_than` is the name
    of an upgrade of the Agent that is not to be looked at, since it had ended before.
    """

    agent: str | None = None
    upgrade: str | None = None
    later_than: str | None = None
    trouble: str = ""
    _agents: list[Agent] | None = None
    _upgrades: list[AgentUpgrade] | None = None
    _told: dict[str, set[PhaseChange]] = field(default_factory=dict)
    _verdict_told: object = None
    _trouble_told: str = ""

    def take(self, sight: Sight) -> None:
        """Look at something new."""
        self.trouble = sight.trouble
        if sight.trouble:
            return
        if sight.kind is AGENT:
            self._agents = [read(Agent, raw) for raw in sight.objects]
        elif sight.kind is AGENT_UPGRADE:
            # A namespace may have many; those of other Agents are not worth being parsed.
            own = (raw for raw in sight.objects if self._is_about(raw))
            self._upgrades = [read(AgentUpgrade, raw) for raw in own]

    def show(self, agents: list[Agent], upgrades: list[AgentUpgrade]) -> None:
        """Look at both kinds at once."""
        self._agents, self._upgrades = agents, upgrades

    @property
    def present(self) -> AgentUpgrade | None:
        """The upgrade that is looked at, if there is one."""
        found = self._upgrades or []
        if self.upgrade is not None:
            return next((each for each in found if each.metadata.name == self.upgrade), None)
        agent = self._agent
        if agent is None or agent.status.upgrade == self.later_than:
            return None
        return governing_of(agent, found)

    @property
    def outcome(self) -> int | None:
        """The exit code, once it has ended."""
        present = self.present
        if self._upgrades is None or (self.agent is not None and self._agents is None):
            return None
        if self.agent is not None:
            agent = self._agent
            if agent is None:
                return GONE
            if agent.status.observed_generation != agent.metadata.generation:
                return None
            if agent.status.upgrade is None or agent.status.upgrade == self.later_than:
                return SUCCEEDED if self.later_than is None else None
        if present is None:
            return GONE
        if not has_ended(present):
            return None
        ends = {UpgradePhase.SUCCEEDED: SUCCEEDED, UpgradePhase.ROLLED_BACK: ROLLED_BACK}
        return ends.get(present.status.phase or UpgradePhase.SUPERSEDED, GONE)

    @property
    def unseen(self) -> str | None:
        """The upgrade that the Agent names, as long as no such upgrade was seen."""
        agent = self._agent
        return agent.status.upgrade if agent is not None and self.present is None else None

    def picture(self, *, now: datetime) -> RenderableType:
        """All of it, as it is now."""
        parts: list[RenderableType] = []
        present = self.present
        if self._agent is not None:
            parts.append(agent_block(self._agent, present, now=now))
        if present is not None:
            parts.append(upgrade_block(present, now=now))
            history = present.status.history[-LATEST:]
            if history:
                parts += ["", *(_line(each) for each in history)]
        else:
            parts.append(Text(self._nothing, "dim"))
        if self.trouble:
            parts.append(Text(self.trouble, "bold red"))
        elif self.outcome is None:
            parts.append(Text("Ctrl-C stops watching; the upgrade goes on.", "dim"))
        return Group(*parts)

    def news(self) -> Iterator[Text]:
        """A line for each thing that has happened since this was last asked.

        Of what was there before the watch began, only the latest is told.
        """
        present = self.present
        if present is not None:
            name = present.metadata.name
            begun = name in self._told
            told = self._told.setdefault(name, set())
            for entry in present.status.history if begun else present.status.history[-1:]:
                if entry not in told:
                    yield Text(f"{name}  ").append_text(_line(entry))
            told.update(present.status.history)
            yield from self._verdict(present)
        if self.trouble and self.trouble != self._trouble_told:
            yield Text(self.trouble)
        self._trouble_told = self.trouble

    def _verdict(self, present: AgentUpgrade) -> Iterator[Text]:
        analysis = present.status.analysis
        if analysis is None:
            return
        key = (present.metadata.name, present.status.attempt, analysis.verdict)
        if key != self._verdict_told:
            at = f"{clock(analysis.looked_at)}  " if analysis.looked_at else ""
            told = f": {analysis.message}" if analysis.message else ""
            yield Text.assemble(
                f"{present.metadata.name}  {at}verdict ", coloured(analysis.verdict), told
            )
        self._verdict_told = key

    def _is_about(self, raw: Object) -> bool:
        return self.agent in {None, raw.get("spec", {}).get("targetRef", {}).get("name")}

    @property
    def _agent(self) -> Agent | None:
        return self._agents[0] if self._agents else None

    @property
    def _nothing(self) -> str:
        if self.agent is not None and self._agents is not None and self._agent is None:
            return f"There is no Agent {self.agent} any more."
        if self.upgrade is not None and self._upgrades is not None:
            return f"There is no upgrade {self.upgrade} any more."
        if self.agent is not None and self.outcome is not None:
            return "It has had no upgrade yet." if self.outcome == 0 else "Its upgrade was deleted."
        return "Waits for an upgrade."


def _line(entry: PhaseChange) -> Text:
    told = f": {entry.message}" if entry.message else ""
    return Text.assemble(
        (f"{clock(entry.at)}  ", "dim"), coloured(entry.phase), f"  {entry.reason}{told}"
    )
