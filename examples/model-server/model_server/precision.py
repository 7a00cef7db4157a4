"""Weights in fewer bits: what is kept of a matrix, and what it is multiplied back to.

int8 is symmetric and per row: each row is divided by its largest absolute value over 127 and
rounded, and that scale is kept beside it. A row is one output of a layer or one word, so a single
large weight costs the others of its row alone their precision.

numpy has no fast product of matrices in either small type. So a layer's matrix is multiplied back
once, when it is loaded: its values are those of the small type, its time that of float32. The table
of words is half of all weights, and of it a text needs a few rows only; it stays small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PRECISIONS = ("float32", "float16", "int8")
LARGEST = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A matrix as it is kept; `scale` has one number for each row of an int8 matrix."""

    values: NDArray[np.generic]
    scale: Floats | None = None

    @classmethod
    def of(cls, matrix: Floats, *, precision: str) -> Stored:
        """Keep a matrix in one of PRECISIONS."""
        if precision != "int8":
            return cls(values=matrix.astype(precision, copy=False))
        scale = np.abs(matrix).max(axis=1, keepdims=True) / LARGEST
        scale[scale == 0] = 1  # a row of zeros stays one
        return cls(values=np.rint(matrix / scale).astype(np.int8), scale=scale)

    def rows(self, numbers: NDArray[np.int64]) -> Floats:
        """Multiply back the rows with these numbers; the shape is that of numbers, and a row."""
        found = self.values[numbers].astype(np.float32)
        return found if self.scale is None else found * self.scale[numbers]

    def whole(self) -> Floats:
        """Multiply back all of it."""
        found = self.values.astype(np.float32, copy=False)
        return found if self.scale is None else found * self.scale
