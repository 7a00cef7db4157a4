"""What kubeconform, kube-score and checkov find in manifests.

Each is asked for JSON and gives findings of the same form. That a program cannot read a file is a
finding as well, so a tool that sees nothing is not taken for one that is content.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.installing.rendering import KUBERNETES, Refused, program
from tests.installing.schemas import LOCATION

CHECKOV: Final = "checkov==3.2.500"
"""Not in uv.lock: it brings ninety packages, and nobody else needs them."""

WORST_OK: Final = 7
"""Grades of kube-score: 1 critical, 5 warning, 7 almost fine, 10 fine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a tool would have otherwise; `check` is its name for it."""

    tool: str
    check: str
    subject: str
    says: str


def kubeconform(schemas: Path, manifests: Path) -> Iterator[Finding]:
    """Fields that do not exist, and values of another type."""
    location = str(schemas / LOCATION)
    words = ("-strict", "-output=json", "-summary", f"-kubernetes-version={KUBERNETES}")
    answer = _json(program("kubeconform"), *words, "-schema-location", location, str(manifests))
    if not answer["summary"]["valid"]:
        yield Finding(tool="kubeconform", check="reads", subject=str(manifests), says="nothing")
    for each in answer.get("resources", ()):
        subject = f"{Path(each['filename']).name}: {each['kind']} {each['name']}"
        yield Finding(tool="kubeconform", check=each["status"], subject=subject, says=each["msg"])


def kube_score(manifest: Path) -> Iterator[Finding]:
    """What could be more robust."""
    words = ("score", "--output-format=json", f"--kubernetes-version=v{KUBERNETES[:4]}")
    for found in _json(program("kube-score"), *words, str(manifest)):
        for each in found["checks"]:
            if not each["skipped"] and each["grade"] < WORST_OK:
                says = "; ".join(comment["summary"] for comment in each["comments"] or ())
                yield Finding(
                    tool="kube-score",
                    check=each["check"]["id"],
                    subject=found["object_name"],
                    says=says,
                )


def checkov(uv: str, manifest: Path) -> Iterator[Finding]:
    """What could be safer."""
    words = ("tool", "run", "--quiet", "--from", CHECKOV, "checkov", "--framework=kubernetes")
    form = ("--output=json", "--quiet", "--compact", "--skip-download")
    answer = _json(uv, *words, *form, "--file", str(manifest))
    if not answer["summary"]["passed"]:
        yield Finding(tool="checkov", check="reads", subject=str(manifest), says="nothing")
    for each in answer["results"]["failed_checks"]:
        yield Finding(
            tool="checkov",
            check=each["check_id"],
            subject=each["resource"],
            says=each["check_name"],
        )


def _json(*words: str) -> Any:
    """These programs exit with 1 when they have found something, which is no failure."""
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        raise Refused(f"{words[0]}: {answer.stdout}{answer.stderr}") from None
