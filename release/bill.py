"""The bill of materials of what is handed out, as CycloneDX.

uv writes it from the lock file, with a digest for each file of each package. It also writes when it
did so and draws a number; both are made to follow from the content, so that the same release has
the same bill.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devcluster.command import run

Bill = dict[str, Any]


def bill(uv: Path, root: Path, *, extra: str, version: str, epoch: int) -> Bill:
    """What the project needs with one of its extras, without what only developers need."""
    words = ("export", "--locked", "--no-default-groups", "--no-emit-project", f"--extra={extra}")
    form = ("--format=cyclonedx1.5", "--preview-features=sbom-export", "--quiet")
    return settled(json.loads(run([uv, *words, *form], cwd=root)), version=version, epoch=epoch)


def settled(found: Bill, *, version: str, epoch: int) -> Bill:
    """The bill of a version, with a time and a number that are the same each time."""
    component = found["metadata"]["component"] | {"version": version}
    when = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = json.dumps([component, found["components"]], sort_keys=True)
    number = uuid.uuid5(uuid.NAMESPACE_URL, content).urn
    metadata = found["metadata"] | {"component": component, "timestamp": when}
    return found | {"serialNumber": number, "metadata": metadata}
