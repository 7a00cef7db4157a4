"""What Flux makes of objects, by its own library: see devcluster/tools/kstatus."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.installing.rendering import Object, program, run


def kstatus(found: Iterable[Object]) -> list[tuple[str, str]]:
    """Status and message of each object."""
    answers = run(program("kstatus"), text="".join(map(json.dumps, found)))
    read = (json.loads(line) for line in answers.splitlines())
    return [(each["status"], each["message"]) for each in read]
