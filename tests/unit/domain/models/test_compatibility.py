"""What users need is compared with what a version declares, and the difference is told."""

from __future__ import annotations

from typing import Any

import pytest

from agentherd.api import Compatibility
from agentherd.domain.models.compatibility import differences


def declared(**fields: Any) -> Compatibility:
    return Compatibility.model_validate(fields)


@pytest.mark.parametrize(
    ("needs", "offers", "told"),
    [
        ({"api": "openai/v1"}, {"api": "openai/v2"}, "api is openai/v2, not openai/v1"),
        ({"api": "openai/v1"}, {}, "api is not declared, not openai/v1"),
        ({"inputSchema": "a"}, {"inputSchema": "b"}, "inputSchema is b, not a"),
        ({"outputSchema": "a"}, {"outputSchema": "b"}, "outputSchema is b, not a"),
        (
            {"embeddingDimension": 384},
            {"embeddingDimension": 768},
            "embeddingDimension is 768, not 384",
        ),
        ({"contextLength": 512}, {"contextLength": 256}, "contextLength is 256, less than 512"),
        ({"contextLength": 512}, {}, "contextLength is not declared, less than 512"),
        (
            {"other": {"tokenizer": "bert"}},
            {"other": {"tokenizer": "gpt"}},
            "other.tokenizer is gpt, not bert",
        ),
    ],
)
def test_a_difference_is_told(needs: dict[str, Any], offers: dict[str, Any], told: str) -> None:
    """In the words of the fields, so that people find them in their manifest."""
    assert differences(declared(**needs), declared(**offers)) == (told,)


@pytest.mark.parametrize(
    ("needs", "offers"),
    [
        ({}, {"api": "openai/v1"}),
        ({"contextLength": 512}, {"contextLength": 512}),
        ({"contextLength": 512}, {"contextLength": 8192}),
        ({"other": {"tokenizer": "bert"}}, {"other": {"tokenizer": "bert", "licence": "mit"}}),
    ],
)
def test_more_than_is_needed_does_no_harm(needs: dict[str, Any], offers: dict[str, Any]) -> None:
    """A longer context and further declarations break nobody."""
    assert differences(declared(**needs), declared(**offers)) == ()


def test_nobody_needs_what_nobody_has_asked_for() -> None:
    """Without requirements every version will do."""
    assert differences(None, None) == ()


def test_a_long_schema_is_shown_shortened() -> None:
    """A condition is a sentence, not a schema."""
    (told,) = differences(declared(inputSchema="x" * 4000), declared(inputSchema="y" * 4000))

    assert len(told) < 200
