"""Who is the first to know that a version fails: here it is the kubelet, which all can see.

What `spec.health` says is asked by the operator too, while a version is new, and then it often
knows before anybody else does. So where a cause has to be seen from outside, the template has a
probe of its own instead.
"""

from __future__ import annotations

from typing import Any, Final

PROBED: Final[dict[str, Any]] = {
    "health": None,
    "container": {
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 1,
        }
    },
}
"""Fields of `agent` for an Agent whose health only the kubelet looks at, every second.

It says that it fails; that a busy machine is late to ask says nothing."""
