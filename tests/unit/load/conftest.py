import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.load.answer import Answer

EPOCH = 1_800_000_000


@pytest.fixture
def line() -> Callable[..., bytes]:
    """A line as `vegeta encode` writes it."""

    def line(*, body: str = "", code: int = 200, error: str = "", number: int = 0) -> bytes:
        record = {
            "attack": "",
            "seq": number,
            "code": code,
            "timestamp": "2027-01-15T08:00:00.123456789Z",
            "latency": 1_500_000,
            "bytes_out": 0,
            "bytes_in": len(body),
            "error": error,
            "body": base64.b64encode(body.encode()).decode() if body else None,
            "method": "GET",
            "url": "http://127.0.0.1:8000/",
            "headers": None,
        }
        return json.dumps(record).encode() + b"\n"

    return line


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """An answer sent so many seconds after the first."""

    def answer(number: int, version: str = "", *, second: float = 0.0, **more: Any) -> Answer:
        plain = {"latency": 0.01, "code": 200}
        return Answer(number=number, at=EPOCH + second, version=version, **(plain | more))

    return answer
