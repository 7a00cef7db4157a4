"""The network in which the cluster's addresses can be reached, for those tests that need it.

The local cluster keeps its pods in a network namespace of its own. A program is started there with
the words of `enter`. The tests stay outside and reach such a program by its loopback address: a
socket belongs to the namespace in which it was made, wherever its owner lives, so one thread
stands inside and makes them, and no request costs a process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

from devcluster.progress import Progress
from devcluster.providers import Origin, find

LOOPBACK: Final = "127.0.0.1"
CLONE_NEWNET: Final = 0x40000000

LISTENING: Final = range(20000, 30000)
"""Ports below those of Services of the type NodePort, and below those of connections."""


class Network:
    """A network namespace, or the machine's own network without one.

    `enter` are the words that run a command inside.
    """

    def __init__(self, *, namespace: Path | None, enter: tuple[str, ...]) -> None:
        self.enter = enter
        self._inside = ThreadPoolExecutor(
            1, thread_name_prefix="network", initializer=_move, initargs=(namespace,)
        )

    def listen(self, port: int = 0, *, address: str = LOOPBACK) -> socket.socket:
        """A listening socket inside, on the loopback unless told; without `port`, on a free one.

        Raises OSError when the port is taken.
        """
        listening = self._socket()
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen()
        except OSError:
            listening.close()
            raise
        return listening

    def connect(self, port: int, *, timeout: float) -> socket.socket:
        """A connection to a port of the loopback inside; raises OSError if nobody listens."""
        connection = self._socket()
        try:
            connection.settimeout(timeout)
            connection.connect((LOOPBACK, port))
        except OSError:
            connection.close()
            raise
        return connection

    def address(self, *, towards: str) -> str:
        """The address inside from which a pod's address is reached, and by which pods reach us."""
        # Nothing is sent: connecting only chooses the way.
        made = self._inside.submit(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
        with made.result() as way:
            way.connect((towards, 9))
            name: tuple[str, int] = way.getsockname()
            return name[0]

    def free_port(self) -> int:
        """A port of the loopback inside that nobody has now.

        It is not one of those that the kernel gives to connections: such a port would often be
        somebody else's by the time the program that was to listen on it has started.
        """
        while True:
            port = secrets.choice(LISTENING)
            try:
                self.listen(port).close()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port

    def _socket(self) -> socket.socket:
        made = self._inside.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM)
        return made.result()


@cache
def cluster_network() -> Network:
    """The network of the cluster that the tests run on."""
    provider = find(Progress())
    local = provider.origin is Origin.LOCAL
    return Network(
        namespace=provider.layout.namespace if local else None,
        enter=provider.enter,
    )


def _move(namespace: Path | None) -> None:
    """Take this thread, and only it, into a network namespace."""
    if namespace is None:
        return
    # The standard library has setns from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    with namespace.open() as opened:
        if libc.setns(opened.fileno(), CLONE_NEWNET):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(namespace))
