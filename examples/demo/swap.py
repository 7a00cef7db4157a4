"""Another version of a model takes over while the model is asked, and the first one comes back.

The model is real, and slow beside an agent that greets: each request is a sentence that goes
through six layers, so there are only a few of them a second. It gets the same sentence before,
during and after the swap. What is promised is checked: the new version serves, none of the requests
is lost, and the vectors of both versions point the same way without being the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from examples.demo.change import (
    Change,
    Status,
    Subject,
    confirm,
    keep_promise,
    took,
    wait_until_it_rests,
)
from examples.demo.shell import DemoError, Request, Shell, answer_to, wait_for
from examples.demo.terminal import command, say, title

MODEL: Final = "embeddings"
HOST: Final = "embeddings.agentherd.local"
MEANING: Final = Request(
    host=HOST, path="/v1/embeddings", body='{"input": "The weather is lovely today."}'
)
EMBEDDINGS: Final = Subject(kind="modeldeployment", name=MODEL, request=MEANING, rate=10)

SIMILAR: Final = 0.99
"""Cosine similarity that the vectors of both versions have at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The vector of the sentence, and the version that it is from."""

    by: str
    vector: tuple[float, ...]

    def __str__(self) -> str:
        first = ", ".join(f"{number:.4f}" for number in self.vector[:4])
        return f"{self.by} answers with {len(self.vector)} numbers: {first}, …"


def swap(shell: Shell, gateway: str) -> str:
    """Let the other version take over, compare what both say, and go back.

    Returns the name of the version that was tried; the one before it serves again.
    """
    title("Ask a model what a sentence means")
    old, new = _make_ready(shell)
    steps, no_steps = policies(new, shell.look(f"{EMBEDDINGS}", ".status.swaps"))
    before = _ask(gateway)

    title(f"Swap it from {old} to {new}, under {EMBEDDINGS.rate} requests a second")
    there = Change(
        shell, EMBEDDINGS, old=old, new=new, spec={"activeVersion": new, **steps}, serves=new
    )
    status = _made(there)
    after = _ask(gateway)
    similarity = compare(before, after, old=old, new=new)
    confirm(
        there.total,
        f"{new} has taken over step by step, in {took(status)} s",
        f"cosine similarity of the vectors of {old} and {new}: {similarity:.4f}",
    )

    title(f"Go back to {old}, which was kept warm")
    back = Change(
        shell, EMBEDDINGS, old=new, new=old, spec={"activeVersion": old, **no_steps}, serves=old
    )
    status = _made(back)
    confirm(back.total, f"{old} serves again; that took {took(status) or 'less than 1'} s")
    return new


def compare(before: Embedding, after: Embedding, *, old: str, new: str) -> float:
    """The cosine similarity of both vectors; raises DemoError if they are not what they should be.

    A vector that has not changed at all would be that of the same version.
    """
    if (before.by, after.by) != (old, new):
        raise DemoError(f"{before.by} and {after.by} have answered, not {old} and {new}")
    if len(before.vector) != len(after.vector):
        raise DemoError(f"{len(before.vector)} numbers have become {len(after.vector)}")
    if before.vector == after.vector:
        raise DemoError(f"{old} and {new} give the same vector, so they are the same model")
    similarity = cosine(before.vector, after.vector)
    if similarity < SIMILAR:
        raise DemoError(f"the cosine similarity is {similarity:.4f}, less than {SIMILAR}")
    return similarity


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """1 for vectors of the same direction, 0 for a right angle, -1 for opposite ones."""
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


def embedding_in(answer: str) -> Embedding:
    """The vector in an answer of OpenAI's shape, which says its version besides."""
    told = json.loads(answer)
    return Embedding(by=told["version"], vector=tuple(told["data"][0]["embedding"]))


def other_version(names: Iterable[str], serving: str) -> str:
    """The first registered version that does not serve."""
    for name in names:
        if name != serving:
            return name
    raise DemoError(f"{MODEL} has no other version than {serving}")


def policies(new: str, swaps: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What of the spec lets the swap take its steps, and the way back none.

    A version that served lately is gone back to without steps, and in a second demo the new one is
    such a version, unless the window in which that counts is closed. `swaps` are those of the
    status, as JSON.
    """
    served = {name for each in json.loads(swaps or "[]") for name in (each.get("from"), each["to"])}
    if new not in served:
        return {}, {}
    return {"upgradePolicy": {"rollbackWindow": 0}}, {"upgradePolicy": {"rollbackWindow": None}}


def _make_ready(shell: Shell) -> tuple[str, str]:
    """Wait until one version serves as it should; returns its name and that of the other one."""
    if shell.look(f"{EMBEDDINGS}", ".spec.canary.version"):
        # A version is tried, which never ends by itself if it has a weight without steps.
        _patch(shell, {"canary": None})
    wait_until_it_rests(shell, EMBEDDINGS)
    serving = shell.look(f"{EMBEDDINGS}", ".status.activeVersion")
    if shell.look(f"{EMBEDDINGS}", ".spec.activeVersion") != serving:
        # The last swap was taken back; it can be asked for anew once it is not asked for.
        _patch(shell, {"activeVersion": serving})
    shell.here("wait", "--for=condition=Ready", f"{EMBEDDINGS}", "--timeout=90s", quiet=True)
    names = shell.look(f"{EMBEDDINGS}", ".spec.versions[*].name").split()
    return serving, other_version(names, serving)


def _patch(shell: Shell, spec: Mapping[str, object]) -> None:
    patch = json.dumps({"spec": spec})
    shell.here("patch", EMBEDDINGS.kind, MODEL, "--type=merge", "-p", patch)


def _made(change: Change) -> Status:
    status = change.make()
    keep_promise(change, status, phase="Succeeded")
    return status


def _ask(gateway: str) -> Embedding:
    """Ask for the vector of the sentence and show it."""
    command(MEANING.typed(gateway))
    answer = wait_for("the model's answer", lambda: answer_to(MEANING, gateway))
    embedding = embedding_in(answer)
    say(f"{embedding}")
    return embedding
