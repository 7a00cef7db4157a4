"""Whether a version of a model does what its users need.

Only what is asked for counts: a version may do more, and what nobody has said is no promise.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentherd.api import Compatibility

_SAME = ("api", "input_schema", "output_schema", "embedding_dimension")
_SHOWN = 60


def differences(needs: Compatibility | None, offers: Compatibility | None) -> tuple[str, ...]:
    """What is missing, in the words of the fields; empty when everything is as it is needed."""
    if needs is None:
        return ()
    return tuple(_differences(needs, offers or Compatibility()))


def _differences(needs: Compatibility, offers: Compatibility) -> Iterator[str]:
    for field in _SAME:
        wanted, found = getattr(needs, field), getattr(offers, field)
        if wanted is not None and found != wanted:
            name = Compatibility.model_fields[field].alias or field
            yield f"{name} is {_shown(found)}, not {_shown(wanted)}"
    longest = offers.context_length
    if needs.context_length is not None and (longest or 0) < needs.context_length:
        yield f"contextLength is {_shown(longest)}, less than {needs.context_length}"
    for key, wanted in sorted(needs.other.items()):
        if (found := offers.other.get(key)) != wanted:
            yield f"other.{key} is {_shown(found)}, not {_shown(wanted)}"


def _shown(value: object) -> str:
    if value is None:
        return "not declared"
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
