"""The cluster as the person's kubeconfig leads to it, by the official client.

Objects come and go as plain dicts, as they are on the wire; who asks for one knows its model. Each
way in which a cluster can fail to answer is told once, here, as a `Problem`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from agentherd.domain.kinds import (
    AGENT_LABEL,
    CHILD_KINDS,
    GROUP,
    Kind,
)
from agentherd.plugin.problems import Absent, Changed, Denied, Problem, Unanswered, near
from agentherd.plugin.words import printable

Object = dict[str, Any]

FIELD_MANAGER: Final = "kubectl-agentherd"
"""Who has written a field, as `status.controls` shows it."""

CHILDREN: Final = {kind.name: kind for kind in CHILD_KINDS}

WATCH_SECONDS: Final = 60
"""How long one request of a watch lasts; then the next one goes on from where it was."""


_MALFORMED: Final = (AttributeError, KeyError, TypeError, ValueError)
"""What goes wrong where a file is read that has something else where a field belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look: each None is what kubectl would take."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    timeout: float = 30


@dataclass(frozen=True, slots=True)
class Moment:
    """The objects of a kind at one time, and the version from which changes can be followed."""

    items: tuple[Object, ...]
    version: str


GONE: Final = 410
"""The code of an API server that has forgotten what is asked for."""

PAGE: Final = 200
"""How many characters are told of an answer that is not that of an API server."""


class Expired(Exception):
    """The version is too old to follow changes from."""


class Connection:
    """One API server, and the namespace that is meant."""

    def __init__(self, place: Place) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            Problem: there is none, or it has no such context.
        """
        self.context, chosen = _context(place)
        settings = client.Configuration()
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=place.kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION,
                context=self.context,
                client_configuration=settings,
            )
            # A person who waits wants to be told, not to wait for a second and a third try.
            settings.retries = False
            self._client = client.ApiClient(settings)
        except (config.ConfigException, OSError, ImportError, *_MALFORMED) as error:
            raise Problem(f"the context {self.context} cannot be used: {error}") from error
        self.namespace: str = place.namespace or chosen.get("namespace") or "default"
        self._host = settings.host
        self._timeout = place.timeout

    def find(self, kind: Kind, name: str) -> Object | None:
        """The object of that name in the namespace, or None."""
        try:
            return self._send("GET", kind.path(self.namespace, name), kind=kind)
        except Absent:
            return None

    def moment(
        self, kind: Kind, *, everywhere: bool = False, labels: str = "", fields: str = ""
    ) -> Moment:
        """All objects of a kind in the namespace, or in all of them."""
        path = kind.path(None if everywhere else self.namespace)
        query = {"labelSelector": labels, "fieldSelector": fields}
        answer = self._send("GET", path, kind=kind, query=query)
        return Moment(tuple(answer["items"]), answer["metadata"]["resourceVersion"])

    def children(self, kind: str, agent: str) -> tuple[Object, ...]:
        """What of a kind belongs to an Agent of the namespace."""
        labels = f"{AGENT_LABEL}={agent}"
        return self.moment(CHILDREN[kind], labels=labels).items

    def names_of_namespaces(self) -> list[str]:
        """The namespaces of the cluster, if they may be listed."""
        answer = self._send("GET", "/api/v1/namespaces")
        return [str(each["metadata"]["name"]) for each in answer["items"]]

    def patch(self, kind: Kind, name: str, body: Object) -> Object:
        """Send a merge patch.

        Raises:
            Changed: `body` has a resourceVersion, and the object another one.
        """
        return self._send(
            "PATCH",
            kind.path(self.namespace, name),
            kind=kind,
            query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body=body,
            content_type="application/merge-patch+json",
        )

    def create(self, kind: Kind, body: Object) -> Object:
        """Create an object in the namespace."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = kind.path(self.namespace)
        return self._send("POST", path, kind=kind, query=query, body=body)

    def user(self) -> str:
        """The name under which the API server knows the person."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self._send(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review
        )
        name: str = answer["status"]["userInfo"]["username"]
        return name

    def changes(self, kind: Kind, *, since: str, fields: str = "") -> Iterator[tuple[str, Object]]:
        """Types and objects of the changes after a version, until the server ends the watch.

        Raises:
            Expired: the server has forgotten what came after that version.
            Unanswered: it has ended in another way than it should.
        """
        query = {
            "watch": "1",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            "fieldSelector": fields,
        }
        path = kind.path(self.namespace)
        with self._open("GET", path, kind=kind, query=query, timeout=WATCH_SECONDS + 15) as lines:
            for line in lines:
                change, changed = self._event(line)
                if change == "ERROR":
                    message = changed.get("message", "")
                    if changed.get("code") == GONE:
                        raise Expired(message)
                    raise Unanswered(f"the watch broke off: {printable(message)}")
                yield change, changed

    def _event(self, line: bytes) -> tuple[str, Object]:
        try:
            event = json.loads(line)
        except ValueError as error:
            raise Unanswered(f"the watch of {self._host} broke off in the middle") from error
        return event["type"], event["object"]

    def _send(self, method: str, path: str, **options: Any) -> Object:
        with self._open(method, path, timeout=self._timeout, **options) as response:
            try:
                answer = json.loads(response.read())
            except ValueError as error:
                raise self._no_api() from error
            if not isinstance(answer, dict):
                raise self._no_api()
            return answer

    def _no_api(self) -> Problem:
        return Problem(
            f"{self._host} is no API server: look at the cluster of context {self.context} in your "
            "kubeconfig, and at proxies between you and it"
        )

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        kind: Kind | None = None,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        request = self._client.param_serialize(
            method,
            path,
            query_params=[(key, value) for key, value in (query or {}).items() if value],
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(
                *request, _request_timeout=(min(10, timeout), timeout)
            ).response
            try:
                if 300 <= response.status < 400:
                    raise self._no_api()
                if response.status >= 400:
                    self._refuse(response.status, response.read().decode(errors="replace"), kind)
                yield response
            finally:
                # A watch that is left in the middle cannot be used for another request.
                response.close()
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as error:
            raise Unanswered(
                f"no answer from {self._host}, the cluster of context {self.context}: is it "
                f"running, and is it the one you mean? ({_cause(error)})"
            ) from error
        except ValueError:
            # What it says would show the token that no header can have.
            raise Problem(
                f"{self._host} cannot be asked: look at the server and the credentials of context "
                f"{self.context} in your kubeconfig"
            ) from None

    def _unknown(self, kind: Kind | None) -> str:
        if kind is None or not kind.api_version.startswith(GROUP):
            return f"the cluster of context {self.context} is too old for this"
        return (
            f"Agentherd is not installed in the cluster of context {self.context}, which does not "
            f"know the kind {kind.name}: install it, or choose another context with --context"
        )

    def _refuse(self, status: int, text: str, kind: Kind | None) -> None:
        """Raise what an answer of 400 or more means."""
        try:
            told: Object = json.loads(text)
            message = str(told["message"])
        except (ValueError, KeyError, TypeError):
            # Of a page that a proxy has made, nobody reads more.
            told, message = {}, " ".join(text.split())[:PAGE]
        message = printable(message).rstrip(".")
        if status == 401:
            raise Problem(
                f"the cluster of context {self.context} does not accept your credentials: log in "
                "again, or choose another context with --context"
            )
        if status == 403:
            raise Denied(f"{message}; ask whoever runs the cluster to permit it")
        if status == 404 and not told.get("details", {}).get("name"):
            raise Problem(self._unknown(kind))
        if status == 404:
            raise Absent(message)
        if status == 409:
            raise Changed(f"{message}; run the command again")
        if status == GONE:
            raise Expired(message)
        if status == 429 or status >= 500:
            raise Unanswered(f"the API server is not able to answer: {message}; try again")
        raise Problem(f"the API server refuses it: {message}")


def contexts(place: Place) -> tuple[Mapping[str, Object], str]:
    """The contexts of the kubeconfig by their names, and the name of the current one or ''."""
    path = place.kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
    try:
        merged = KubeConfigMerger(path).config  # type: ignore[no-untyped-call]
        if merged is None:
            raise Problem(f"there is no kubeconfig {path}: say where it is with --kubeconfig")
        entries = [entry.value for entry in merged.value["contexts"]]
        known = {entry["name"]: entry.get("context") or {} for entry in entries}
        current = merged.value.get("current-context") or ""
        if not isinstance(current, str) or not all(isinstance(c, dict) for c in known.values()):
            raise TypeError("a context has a name and fields")
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise Problem(f"the kubeconfig {path} cannot be read: {error}") from error
    except _MALFORMED as error:
        raise Problem(f"{path} is no kubeconfig: say with --kubeconfig where it is") from error
    return known, current


def _context(place: Place) -> tuple[str, Object]:
    """Name and content of the context that is meant."""
    known, current = contexts(place)
    name = place.context or current
    if not name:
        raise Problem(
            "your kubeconfig has no current context: choose one with --context, or with "
            "`kubectl config use-context`"
        )
    if name not in known:
        raise Problem(
            f"your kubeconfig has no context {name}{near(name, known)}; "
            "`kubectl config get-contexts` lists what it has"
        )
    return name, known[name]


def _cause(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects that libraries put before it."""
    reason = getattr(error, "reason", None)
    text = str(reason if isinstance(reason, (BaseException, str)) and reason else error)
    return text.rpartition(">: ")[2].rpartition(", '")[2].strip("'\") ") or type(error).__name__
