"""Bring one child to its manifest: made when missing, written when changed, removed when unwanted.

A child that is as it was last applied costs nothing, one that belongs to somebody else is left to
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentherd.domain.kinds import Kind, companion_name
from agentherd.domain.observation import AgentObservation
from agentherd.domain.plan import Apply, Delete, Manifest, Stage, digest
from agentherd.domain.views import Child


def keep(
    seen: AgentObservation,
    kind: Kind,
    name: str,
    manifest: Manifest | None,
    live: Mapping[str, Child],
    *,
    stage: Stage = Stage.SCALE,
    unhashed: Manifest | None = None,
    claimed: bool = False,
    starts: bool = False,
) -> Iterator[Apply | Delete]:
    """The write that brings one child to its manifest, or removes it when there is none.

    `claimed` is for names that people use as well, besides those that are known to be so. A child
    that is missing and `starts` no pods is made before a status tells that all is there.
    """
    child = live.get(name)
    if child is not None and (child.deleting or not seen.own(child)):
        return  # its end wakes us
    if manifest is None:
        if child is not None and seen.made(child):
            yield Delete(kind=kind, name=name, uid=child.uid, stage=stage)
        return
    wanted = digest(manifest)
    if child is not None and child.applied == wanted and child.owner and not child.touched:
        return
    agent = seen.agent.metadata.name
    yield Apply(
        stage=Stage.CHILDREN if child is None and not starts and stage is Stage.SCALE else stage,
        kind=kind,
        manifest=manifest,
        digest=wanted,
        uid=child.uid if child else None,
        claimed=claimed or name in {agent, companion_name(agent)},
        unhashed=unhashed,
    )
