"""What `helm test` runs: an Agent starts, answers, is changed while it answers, and goes.

It needs nothing but Python, and speaks to the API server as the ServiceAccount of its pod. Exits
with 1, and says what was seen last, when a step does not come true in time.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAME, NAMESPACE, IMAGE = (os.environ[name] for name in ("AGENT", "AGENT_NAMESPACE", "AGENT_IMAGE"))
SERVER = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
GROUP = "agentherd.dev"
AGENTS, UPGRADES = (
    f"{SERVER}/apis/{GROUP}/v1alpha1/namespaces/{NAMESPACE}/{plural}"
    for plural in ("agents", "agentupgrades")
)
SECONDS = 90

AGENT = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "Agent",
    "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "agentherd-test"}},
    "spec": {
        "config": {"greeting": "Hello"},
        "health": {"http": {"port": "http"}, "intervalSeconds": 1},
        "upgradePolicy": {"type": "RollingUpdate", "scaleDownDelaySeconds": 0},
        "template": {
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "agent",
                        "image": IMAGE,
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "48Mi"},
                            "limits": {"memory": "96Mi"},
                        },
                    }
                ],
            }
        },
    },
}


def send(method, url, body=None, kind="application/json"):
    """The answer of the API server; None if there is no such object."""
    request = urllib.request.Request(url, method=method)
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text()}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", kind)
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        sys.exit(f"{method} {url}: {error.code} {error.read().decode()}")


def until(what, look):
    """Look once a second until there is something true to see, and return it."""
    seen, end = None, time.monotonic() + SECONDS
    while time.monotonic() < end:
        found, seen = look()
        if found:
            print(f"ok: {what}", flush=True)
            return found
        time.sleep(1)
    sys.exit(f"not within {SECONDS} s: {what}; seen last: {seen}")


def ready():
    """The Agent once it is as its latest spec wants it, and what is said of that."""
    agent = send("GET", f"{AGENTS}/{NAME}") or {"metadata": {}}
    status = agent.get("status", {})
    said = [each for each in status.get("conditions", ()) if each["type"] == "Ready"]
    seen = status.get("observedGeneration") == agent["metadata"].get("generation")
    return seen and said and said[0]["status"] == "True" and agent, said


def greets(greeting):
    """Whether the Service of the Agent gives this answer."""

    def look():
        try:
            url = f"http://{NAME}.{NAMESPACE}:8080/"
            with urllib.request.urlopen(url, timeout=5) as answer:
                seen = json.load(answer)["greeting"]
        except OSError as error:
            return False, error
        return seen == greeting, seen

    return look


def succeeded(upgrade):
    """Whether the change came through as one that could have been taken back."""

    def look():
        phase = send("GET", f"{UPGRADES}/{upgrade}")["status"]["phase"]
        return phase == "Succeeded", phase

    return look


def gone():
    """Whether there is no Agent of the name."""
    agent = send("GET", f"{AGENTS}/{NAME}")
    return agent is None, agent


def life():
    """Everything in its order."""
    send("POST", AGENTS, AGENT)
    until("the Agent is ready", ready)
    until("its Service answers", greets("Hello"))
    change = {"spec": {"config": {"greeting": "Good evening"}}}
    send("PATCH", f"{AGENTS}/{NAME}", change, "application/merge-patch+json")
    upgrade = until("it is ready again after a change", ready)["status"]["upgrade"]
    until("its Service answers with the change", greets("Good evening"))
    until(f"the AgentUpgrade {upgrade} has succeeded", succeeded(upgrade))


if __name__ == "__main__":
    send("DELETE", f"{AGENTS}/{NAME}")
    until("there is no Agent of an earlier test", gone)
    try:
        life()
    finally:
        send("DELETE", f"{AGENTS}/{NAME}")
    until("the Agent is gone", gone)
