"""The network namespace of a local cluster: one node interface, and no way out.

The default route ends at a bridge without ports, so a packet for an address that no pod or Service
has is dropped here and never reaches the machine's own network. The only ways in are the loopback
sockets of `open_door`.
"""

from __future__ import annotations

import errno
import socket

from devcluster.command import run, succeeds
from devcluster.errors import PortTaken
from devcluster.layout import NODE_ADDRESS, Layout, Port

INTERFACE = "node0"


def enter_argv(layout: Layout) -> tuple[str, ...]:
    """The words that run a command inside.

    Not `ip netns exec`, which mounts /sys anew: the kubelet would find no cgroups.
    """
    return ("nsenter", f"--net={layout.namespace}", "--")


def exists(layout: Layout) -> bool:
    """Whether the namespace is there and not merely its file."""
    return layout.namespace.exists() and succeeds([*enter_argv(layout), "true"])


def create(layout: Layout) -> None:
    """Make the namespace with its node interface."""
    run(["ip", "netns", "add", layout.name])
    batch = "\n".join(
        (
            "link set lo up",
            f"link add {INTERFACE} type bridge",
            f"address add {NODE_ADDRESS}/24 dev {INTERFACE}",
            f"link set {INTERFACE} up",
            f"route add default dev {INTERFACE}",
        )
    )
    run([*enter_argv(layout), "ip", "-batch", "-"], stdin=batch + "\n")
    # These settings belong to the namespace, not to the machine.
    settings = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    run([*enter_argv(layout), "sh", "-c", settings])


def remove(layout: Layout) -> None:
    """Remove the namespace; its interfaces go with it."""
    if layout.namespace.exists():
        run(["ip", "netns", "delete", layout.name])


def open_door(port: Port) -> socket.socket:
    """Listen on the machine's loopback, for `devcluster.proxy`."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", port.number))
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port.number, port.variable) from error
        raise
    door.listen(1024)
    return door
