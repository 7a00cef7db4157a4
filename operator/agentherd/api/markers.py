"""Markers that put Kubernetes' own schema keywords on a type, and the types made with them.

A marker sits in `Annotated[...]` and only speaks when a schema is generated; parsing never sees
it. `Clip` is the exception: texts that the operator copies from elsewhere into a status must not
be able to fail the write, so they are shortened instead of refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

RULES: Final = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True, eq=False)
class Keywords:
    """Schema keywords that are added to those of the annotated type."""

    keywords: Mapping[str, Any]

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), **self.keywords}


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression the API server evaluates, and what it answers where that is false.

    `field` is the path, from where the rule stands, of the field the answer is about.
    """

    rule: str
    message: str
    field: str | None = None

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = handler(schema)
        return {**json_schema, RULES: [*json_schema.get(RULES, ()), self.keywords()]}

    def keywords(self) -> dict[str, JsonValue]:
        """One entry of `x-kubernetes-validations`."""
        keywords: dict[str, JsonValue] = {"rule": self.rule, "message": self.message}
        if self.field is not None:
            keywords["fieldPath"] = self.field
        return keywords


@dataclass(frozen=True, slots=True)
class DescribedBy:
    """The schema of another model, for a value that is parsed as a plain dict."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


@dataclass(frozen=True, slots=True)
class Clip:
    """The longest text that is kept; a longer one loses its end and gains an ellipsis."""

    limit: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.clip, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "maxLength": self.limit}

    def clip(self, text: str) -> str:
        """Shorten `text` to the limit, which counts characters as the API server does."""
        return text if len(text) <= self.limit else text[: self.limit - 1] + "…"


def _whole_seconds_utc(time: datetime) -> datetime:
    if time.utcoffset():
        time = time.astimezone(UTC)
    return time.replace(microsecond=0) if time.microsecond else time


DNS_LABEL: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_1035_LABEL: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

SET: Final = Keywords({"x-kubernetes-list-type": "set"})
ATOMIC: Final = Keywords({"x-kubernetes-list-type": "atomic"})


def list_map(*keys: str) -> Keywords:
    """Mark a list whose items are merged by these of their fields."""
    return Keywords({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def is_empty(items: tuple[object, ...]) -> bool:
    """Whether a list is left out of what is written, as absent and empty mean the same."""
    return not items


Int32 = Annotated[int, Keywords({"format": "int32"})]
Int64 = Annotated[int, Keywords({"format": "int64"})]

Count = Annotated[Int32, Field(ge=0)]

UNSEEN: Final = -1
"""What the API server says is the observed generation of an object that nobody has looked at."""

# Within the operator there is no number that means that there is none.
ObservedGeneration = Annotated[
    Annotated[Int64, Field(ge=UNSEEN)] | None,
    BeforeValidator(lambda value: None if value == UNSEEN else value),
]

# Kubernetes keeps whole seconds; a time that had more would differ from itself when read back.
Time = Annotated[AwareDatetime, AfterValidator(_whole_seconds_utc)]

Port = Annotated[
    int | str,
    Keywords(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": 65535,
            "maxLength": 15,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        }
    ),
]

AgentName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_1035_LABEL)]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
Revision = Annotated[str, StringConstraints(min_length=1, max_length=63)]
