"""Credentials, loaded by kopf: a service account inside a cluster, a kubeconfig outside.

kopf and our own client are accepted by the API server in the same way. A kubeconfig that needs
an external program for its credentials is refused with a word on what to do, since kopf's own
loader would silently go on without them.
"""

from __future__ import annotations

import kopf

from agentherd.cluster import Connection
from agentherd.domain.errors import Unauthorized


def login(settings: kopf.OperatorSettings) -> kopf.ConnectionInfo:
    """Load the credentials of this process.

    Raises:
        Unauthorized: there are none.
    """
    info = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
        settings=settings
    )
    if info is None:
        raise Unauthorized("found neither a service account nor a kubeconfig; set KUBECONFIG")
    if not (info.token or info.username or info.certificate_path or info.certificate_data):
        raise Unauthorized(
            "the kubeconfig's user has neither token nor certificate (credentials from an external "
            "program are not supported); make a kubeconfig with a token"
        )
    return info


def connect(settings: kopf.OperatorSettings) -> Connection:
    """The same credentials in the form of our client."""
    info = login(settings)
    return Connection(
        server=info.server.rstrip("/"),
        headers=info.as_http_headers(),
        tls=info.as_ssl_context() if info.server.startswith("https") else None,
        proxy=info.proxy_url,
    )
