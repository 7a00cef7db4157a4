import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

MODEL_SERVER = Path(__file__).parents[4] / "examples" / "model-server"
sys.path.insert(0, str(MODEL_SERVER))

from model_server.__main__ import ONE_THREAD  # noqa: E402

# As the server itself: threads of numpy would stand in the way of the tests beside these.
for name, value in ONE_THREAD.items():
    os.environ.setdefault(name, value)

from aiohttp.test_utils import TestClient, TestServer  # noqa: E402
from model_server.server import Identity, Server  # noqa: E402
from model_server.settings import Source  # noqa: E402
from model_server.web import build_app  # noqa: E402

IDENTITY = Identity(agent="minilm", version="fp32", revision="5d4f8c", pod="minilm-5d4f8c-x2x4q")
DUMMY = {"MODEL_BACKEND": "dummy", "MODEL_DIMENSION": "8"}


@pytest.fixture
def model_server_path() -> Path:
    return MODEL_SERVER


@pytest.fixture
def start(mounted, events, clock) -> Iterator[Callable[..., Server]]:
    """Start a dummy with these files mounted; its model is not loaded yet."""
    started = []

    def start(**files: str) -> Server:
        mounted.swap(files)
        source = Source(DUMMY, mounted.path)
        started.append(Server(identity=IDENTITY, source=source, log=events, clock=clock))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def client_of() -> Callable[..., AbstractAsyncContextManager[TestClient]]:
    """Give a client of a server; its model is loaded first, if not told otherwise."""

    @asynccontextmanager
    async def client_of(server: Server, *, load: bool = True, **options):
        if load:
            await server.load()
        async with TestClient(TestServer(build_app(server, **options))) as client:
            yield client

    return client_of
