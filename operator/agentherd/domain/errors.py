"""The errors of Agentherd, named by situation.

    AgentherdError
    ├── TransientError            try again; `retry_after` says when
    │   ├── Unreachable           no answer, or 5xx: nothing is known about the write
    │   ├── Throttled             429: the server asked for patience
    │   ├── Unauthorized          401: the credentials have to be read again
    │   ├── Conflict              409: the object is not the one that was seen
    │   └── Expired               410: the watch has to start from a new list
    └── TerminalError             the same request will be refused again; `reason` says why
        ├── NotFound              404
        ├── Forbidden             403: quota, permission, terminating namespace
        ├── Invalid               400, 413, 422: the server refuses the object
        ├── NameTaken             an object of that name belongs to somebody else
        ├── TemplateConflict      the pod template contradicts the Agent's spec
        └── InvalidTemplate       the pod template is no pod template

Anything else that is raised is a bug and is allowed to be seen.
"""

from __future__ import annotations

from agentherd.domain.reasons import Reason


class AgentherdError(Exception):
    """Root of the tree; `str()` is a sentence for people."""


class TransientError(AgentherdError):
    """The same request may succeed later."""

    reason = Reason.API_UNAVAILABLE

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """The API server gave no answer or answered with an error of its own."""


class Throttled(TransientError):
    """The API server asked to slow down."""


class Unauthorized(TransientError):
    """The credentials were not accepted; they may have been renewed on disk."""


class Conflict(TransientError):
    """The object was changed, deleted or made anew since it was seen."""


class Expired(TransientError):
    """The resourceVersion is too old to watch from."""


class TerminalError(AgentherdError):
    """The same request will be refused again until something changes."""

    reason = Reason.INVALID_CHILD


class NotFound(TerminalError):
    """There is no such object."""


class Forbidden(TerminalError):
    """The server knows the request and does not allow it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        if "exceeded quota" in message:
            self.reason = Reason.QUOTA_EXCEEDED
        elif "is being terminated" in message:
            self.reason = Reason.NAMESPACE_TERMINATING
        else:
            self.reason = Reason.FORBIDDEN


class Invalid(TerminalError):
    """The server refuses the object as it is."""


class NameTaken(TerminalError):
    """An object of the wanted name exists and does not belong to this Agent."""

    reason = Reason.NAME_TAKEN


class TemplateConflict(TerminalError):
    """The pod template and another field of the spec both want to set the same thing."""

    reason = Reason.TEMPLATE_CONFLICT


class InvalidTemplate(TerminalError):
    """The pod template has something else where a list or an object belongs."""

    reason = Reason.INVALID_TEMPLATE
