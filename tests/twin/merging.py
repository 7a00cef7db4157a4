"""JSON objects as the API server treats them: copied, merged, and given up field by field."""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping
from typing import Any, TypeVar

Raw = dict[str, Any]
J = TypeVar("J")


def sent(value: J) -> J:
    """A copy by way of the wire, which also shows that the value can take it."""
    copy: J = json.loads(json.dumps(value))
    return copy


def copied(value: J) -> J:
    """A copy of what has been sent once; several times as fast."""
    plain: Any = value
    copy: J = marshal.loads(marshal.dumps(plain))  # noqa: S302  (our own)
    return copy


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Raw:
    """Maps are merged, everything else is replaced, and None removes."""
    result = copied(dict(base))
    for name, value in patch.items():
        below = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            result[name] = merged(below, value)
        else:
            result[name] = sent(value)
    return result


def without(
    live: Mapping[str, Any],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    others: list[Raw],
) -> Raw:
    """`live` without what a manager applied `before`, does not apply `now`, and nobody else has."""
    result = copied(dict(live))
    for name, value in before.items():
        kept = now.get(name)
        if name not in now:
            if not any(name in other for other in others):
                result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(kept, Mapping) and name in result:
            below = [o[name] for o in others if isinstance(o.get(name), Mapping)]
            result[name] = without(result[name], value, kept, below)
    return result


def owned(fields: Mapping[str, Any]) -> Raw:
    """The names of fields in the form of `fieldsV1`."""
    return {
        f"f:{name}": owned(value) if isinstance(value, Mapping) else {}
        for name, value in fields.items()
    }


def still_owned(names: Mapping[str, Any], before: Any, after: Any) -> Raw:
    """What an owner keeps of its fields when somebody else writes: those that stay as they are."""
    kept: Raw = {}
    for name, below in names.items():
        old, new = (
            each.get(name[2:]) if isinstance(each, Mapping) else None for each in (before, after)
        )
        if below and isinstance(new, Mapping):
            kept[name] = still_owned(below, old, new)
        elif new is not None and old == new:
            kept[name] = below
    return kept
