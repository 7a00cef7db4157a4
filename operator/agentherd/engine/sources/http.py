"""A URL that answers with JSON, in which a pointer leads to one number.

The status alone says little: what a wrong version answers is often a page of its own with status
200. So a number has to be where it was said to be, and be one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from yarl import URL

from agentherd.api import HTTPRequest
from agentherd.engine.sources.web import NoAnswer, Web

_INDEX: Final = re.compile("0|[1-9][0-9]*", re.ASCII)


async def ask(web: Web, request: HTTPRequest) -> float:
    """The number that a URL answers with.

    Raises:
        NoAnswer: there is none.
    """
    try:
        url = URL(request.url)
    except ValueError as error:
        raise NoAnswer(f"not a URL: {error}") from None
    reply = await web.get(url)
    if not 200 <= reply.status < 300:
        raise NoAnswer(f"{url.host} answers with status {reply.status}")
    if reply.fault:
        raise NoAnswer(reply.fault)
    return number(reply.value, request.pointer)


def number(document: object, pointer: str) -> float:
    """The number at an RFC 6901 pointer.

    Raises:
        NoAnswer: there is nothing, or something else.
    """
    where = f"at {pointer}" if pointer else "as the answer"
    try:
        found = at(document, pointer)
    except (KeyError, IndexError):
        raise NoAnswer(f"there is nothing {where}") from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise NoAnswer(f"there is no number {where}")
    try:
        return float(found)
    except OverflowError:
        raise NoAnswer(f"the number {where} is too large to be a measurement") from None


def at(document: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer leads to; "" is the whole document.

    Raises:
        KeyError: there is no such member.
        IndexError: there is no such element.
    """
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document[name]
        elif isinstance(document, list) and _INDEX.fullmatch(name):
            document = document[int(name)]
        else:
            raise KeyError(name)
    return document
