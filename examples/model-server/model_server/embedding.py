"""What turns texts into vectors: the real model or a dummy.

The dummy needs nothing but Python, so that its image is small and its pod is up at once. Its
vector is a hash of the text: the same in every pod, every version and every run.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from model_server.settings import Settings

Vector: TypeAlias = "array[float]"
"""Of 32-bit floats (type code "f") and length 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The vectors of some texts, in their order, and how many tokens were read for them."""

    vectors: Sequence[Vector]
    tokens: int


class Encoder(Protocol):
    """A model that is loaded."""

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Give the vectors of the texts; takes as long as it takes, so not for an event loop."""


class Dummy:
    """Vectors that mean nothing."""

    def __init__(self, *, dimension: int) -> None:
        self._dimension = dimension

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Hash each text; a token is a word."""
        return Embedded(
            vectors=[self._vector(text) for text in texts],
            tokens=sum(len(text.split()) for text in texts),
        )

    def _vector(self, text: str) -> Vector:
        noise = hashlib.shake_128(text.encode()).digest(self._dimension)
        centred = [byte - 127.5 for byte in noise]  # never 0, so the length is never 0 either
        length = math.hypot(*centred)
        return array("f", (number / length for number in centred))


def load(settings: Settings) -> Encoder:
    """Load the model that the settings name; of the real one this takes seconds."""
    if settings.backend == "dummy":
        return Dummy(dimension=settings.dimension)
    # The image of the dummy has none of the libraries that this imports.
    from model_server.minilm import MiniLM

    return MiniLM.load(precision=settings.precision)
