"""The only place that speaks to an API server.

`Cluster` is the small set of verbs the operator needs; `ApiServer` speaks them over HTTP. The
tests have an in-memory twin of the same protocol for logic, and a real cluster for the truth.
"""

from agentherd.cluster.api_server import ApiServer, Connection
from agentherd.cluster.verbs import Cluster, Page, WatchEvent

__all__ = ["ApiServer", "Cluster", "Connection", "Page", "WatchEvent"]
