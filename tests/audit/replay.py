"""From lines of an audit log, and from rules of roles, to permissions that can be compared.

A permission is what RBAC grants: a verb on a resource of a group, for one with a subresource
`resource/subresource`. Names are left aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

OPERATOR: Final = "agentherd/"
"""How the operator calls itself, with its version after that."""

CREATED: Final = 201

UNSEEN: Final[Mapping[str, str]] = {
    "update agentherd.dev agents/finalizers": "asked for by an admission plugin",
    "update agentherd.dev modeldeployments/finalizers": "asked for by an admission plugin",
}
"""Permissions of which no request tells, and why. Without these the plugin
OwnerReferencesPermissionEnforcement of the development cluster would refuse every child."""


class Permission(NamedTuple):
    """A verb on a kind of objects."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.group or 'core'} {self.resource}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Permissions that are granted and not used, and such that were asked for and not granted."""

    unused: tuple[Permission, ...]
    missing: tuple[Permission, ...]


def compare(granted: Iterable[Permission], asked: Iterable[Permission]) -> Findings:
    """What is wrong with the roles."""
    wanted, held = set(asked), set(granted)
    unused = {each for each in held - wanted if str(each) not in UNSEEN}
    return Findings(unused=tuple(sorted(unused)), missing=tuple(sorted(wanted - held)))


def granted(roles: Iterable[Mapping[str, Any]]) -> Iterator[Permission]:
    """What roles grant."""
    for role in roles:
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield Permission(verb, group, resource)


def asked(lines: Iterable[str]) -> Iterator[Permission]:
    """What operators have asked for that run as a ServiceAccount, granted or not."""
    for line in lines:
        # Most lines are of others, and parsing is what costs time.
        if f'"userAgent":"{OPERATOR}' not in line:
            continue
        event = json.loads(line)
        found = event.get("objectRef")
        if found is None or not event["user"]["username"].startswith("system:serviceaccount:"):
            continue
        subresource = found.get("subresource")
        resource = found["resource"] + (f"/{subresource}" if subresource else "")
        yield Permission(event["verb"], found.get("apiGroup", ""), resource)
        # Where server-side apply meets no object it is a patch that has to be allowed to create.
        if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == CREATED:
            yield Permission("create", found.get("apiGroup", ""), resource)
