"""The API server as the tests see it: the official client's connection, plain objects, watches.

Nothing here knows Agentherd beyond the paths of its resources, and nothing is shared with the
operator, so that no error of the one can hide an error of the other. Waiting is always a watch: a
test goes on the moment what it waits for is true and fails with what it saw last.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple

import urllib3
from kubernetes import client, config

Object = dict[str, Any]

PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "Agent": ("/apis/agentherd.dev/v1alpha1", "agents"),
    "AgentUpgrade": ("/apis/agentherd.dev/v1alpha1", "agentupgrades"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "Gateway": ("/apis/gateway.networking.k8s.io/v1", "gateways"),
    "GatewayClass": ("/apis/gateway.networking.k8s.io/v1", "gatewayclasses"),
    "GRPCRoute": ("/apis/gateway.networking.k8s.io/v1", "grpcroutes"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "ModelDeployment": ("/apis/agentherd.dev/v1alpha1", "modeldeployments"),
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ValidatingAdmissionPolicy": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicies",
    ),
    "ValidatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
    ),
}


class Refused(Exception):
    """The API server said no."""

    def __init__(self, *, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Change(NamedTuple):
    """One event of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


@dataclass(frozen=True)
class Answer:
    """What a pod answered."""

    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Moment:
    """A collection at one resource version, from which its changes can be followed."""

    items: tuple[Object, ...]
    version: str


class Cluster:
    """One API server; `operator_kubeconfig` is how operators reach it, as themselves."""

    def __init__(self, kubeconfig: str | None) -> None:
        self.kubeconfig = kubeconfig
        self.operator_kubeconfig = kubeconfig
        chosen = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=chosen
        )
        self._client = client.ApiClient(chosen)

    def close(self) -> None:
        self._client.rest_client.close()

    # Objects

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """The object, or None if there is none."""
        try:
            return self.send("GET", path(kind, namespace, name))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def moment(
        self, kind: str, *, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Moment:
        """The objects of a kind now."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        answer = self.send("GET", path(kind, namespace), query=query)
        return Moment(tuple(answer["items"]), answer["metadata"]["resourceVersion"])

    def create(self, kind: str, manifest: Object) -> Object:
        namespace = manifest["metadata"].get("namespace")
        return self.send("POST", path(kind, namespace), body=manifest)

    def apply(self, manifest: Object, *, manager: str, force: bool = False) -> Object:
        """Server-side apply; conflicts are errors unless forced."""
        metadata = manifest["metadata"]
        return self.send(
            "PATCH",
            path(manifest["kind"], metadata.get("namespace"), metadata["name"]),
            query={
                "fieldManager": manager,
                "fieldValidation": "Strict",
                "force": "true" if force else "",
            },
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    def patch(
        self,
        kind: str,
        name: str,
        body: Object,
        *,
        manager: str,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Object:
        """Merge patch."""
        return self.send(
            "PATCH",
            path(kind, namespace, name) + subresource,
            query={"fieldManager": manager, "fieldValidation": "Strict"},
            body=body,
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, name: str, *, namespace: str | None = None) -> None:
        self.send("DELETE", path(kind, namespace, name), body={"propagationPolicy": "Background"})

    # Watches

    def follow(
        self,
        kind: str,
        *,
        since: str,
        within: float,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
    ) -> Iterator[Change]:
        """What happens to the objects of a kind after resource version `since`, in order.

        Ends after `within` seconds.
        """
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            query = {
                "watch": "1",
                "resourceVersion": since,
                "timeoutSeconds": str(math.ceil(left)),
                "labelSelector": labels,
                "fieldSelector": fields,
            }
            with self._open("GET", path(kind, namespace), query=query, timeout=left) as lines:
                try:
                    for line in lines:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            raise Refused(
                                status=event["object"].get("code", 500),
                                message=event["object"].get("message", ""),
                            )
                        since = event["object"]["metadata"]["resourceVersion"]
                        yield Change(event["type"], event["object"])
                except urllib3.exceptions.ReadTimeoutError:
                    continue  # as long as was asked for, nothing happened

    def wait_until(
        self,
        kind: str,
        name: str,
        holds: Callable[[Object | None], bool],
        *,
        within: float,
        namespace: str | None = None,
    ) -> Object | None:
        """Wait until the condition holds for the object (None: there is none) and return it.

        Raises:
            AssertionError: it did not within so many seconds.
        """
        seen = None
        for found in self._looks(
            kind, within=within, namespace=namespace, fields=f"metadata.name={name}"
        ):
            seen = found[0] if found else None
            if holds(seen):
                return seen
        raise AssertionError(f"{kind} {name} did not get there in {within} s: {_shown(seen)}")

    def wait_until_all(
        self,
        kind: str,
        holds: Callable[[list[Object]], bool],
        *,
        within: float,
        namespace: str | None = None,
        labels: str = "",
    ) -> list[Object]:
        """Wait until the condition holds for all selected objects together.

        Raises:
            AssertionError: it did not within so many seconds.
        """
        found: list[Object] = []
        for found in self._looks(kind, within=within, namespace=namespace, labels=labels):
            if holds(found):
                return found
        shown = ", ".join(map(_shown, found)) or "there are none"
        raise AssertionError(f"the {kind} objects did not get there in {within} s: {shown}")

    def _looks(
        self,
        kind: str,
        *,
        within: float,
        namespace: str | None,
        labels: str = "",
        fields: str = "",
    ) -> Iterator[list[Object]]:
        """The objects as they are, and again after each change, for so many seconds."""
        end = time.monotonic() + within
        where = {"namespace": namespace, "labels": labels, "fields": fields}
        while (left := end - time.monotonic()) > 0:
            now = self.moment(kind, **where)
            seen = {item["metadata"]["uid"]: item for item in now.items}
            yield [*seen.values()]
            try:
                for change in self.follow(kind, since=now.version, within=left, **where):
                    uid = change.object["metadata"]["uid"]
                    if change.type == "DELETED":
                        seen.pop(uid, None)
                    else:
                        seen[uid] = change.object
                    yield [*seen.values()]
            except Refused as refused:
                if refused.status != HTTPStatus.GONE:
                    raise  # else the API server has forgotten that version, and it is listed anew

    # Pods

    def ask(self, pod: str, route: str, *, namespace: str, port: int = 8080) -> Answer:
        """A GET request to a pod, by way of the API server."""
        proxied = f"{path('Pod', namespace, f'{pod}:{port}')}/proxy{route}"
        with self._open("GET", proxied, timeout=15, refuse=False) as response:
            return Answer(response.status, response.read().decode())

    @contextmanager
    def log(self, pod: str, *, namespace: str, within: float) -> Iterator[Iterator[str]]:
        """The lines of a pod's log from its beginning, and as they come, until it ends."""
        query = {"follow": "true"}
        with self._open(
            "GET", f"{path('Pod', namespace, pod)}/log", query=query, timeout=within
        ) as lines:
            yield (line.decode().rstrip("\n") for line in lines)

    # Requests

    def send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request with an object for an answer."""
        with self._open(method, url, query=query, body=body, content_type=content_type) as response:
            answer: Object = json.loads(response.read())
            return answer

    @contextmanager
    def _open(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: float = 30,
        refuse: bool = True,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        request = self._client.param_serialize(
            method,
            url,
            query_params=[(key, value) for key, value in (query or {}).items() if value],
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self._client.call_api(*request, _request_timeout=(10, timeout)).response
        try:
            if refuse and response.status >= 400:
                raise _refused(response.status, response.read().decode())
            yield response
        finally:
            # A watch that is left in the middle cannot be used for another request.
            response.close()


def path(kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Path of an object, or of its collection."""
    root, plural = PATHS[kind]
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")


def _refused(status: int, text: str) -> Refused:
    try:
        message = json.loads(text)["message"]
    except (json.JSONDecodeError, KeyError, TypeError):
        message = text
    return Refused(status=status, message=message)


def _shown(found: Object | None) -> str:
    if found is None:
        return "there is none"
    return f"{found['metadata']['name']} {json.dumps(found.get('status', {}))}"
