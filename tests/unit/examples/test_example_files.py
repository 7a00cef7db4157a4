"""The example files are what their README says: whole, restricted, and consistent."""

from pathlib import Path

import pytest
import yaml

from agentherd.api import Agent

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def documents(file: Path) -> list[dict]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def agents() -> list:
    found = [document for file in FILES for document in documents(file)]
    return [
        pytest.param(document, id=document["metadata"]["name"])
        for document in found
        if document["kind"] == "Agent"
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_begins_with_what_it_shows_and_the_command(file):
    header = file.read_text(encoding="utf-8").split("apiVersion", 1)[0]

    assert header.startswith("# ")
    assert "kubectl apply" in header
    assert f"-f examples/{file.name}" in header


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_readme_lists_each_file(file):
    assert f"[{file.name}]({file.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("agent", agents())
def test_each_agent_meets_the_restricted_pod_security_standard(agent):
    pod = agent["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("agent", agents())
def test_each_agent_uses_only_fields_that_the_api_has(agent):
    parsed = Agent.model_validate(agent)

    assert parsed.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == agent["spec"]


def test_the_route_leads_to_the_service_of_the_first_agent():
    [agent] = documents(EXAMPLES / "first-agent.yaml")
    [route] = documents(EXAMPLES / "route.yaml")
    [container] = agent["spec"]["template"]["spec"]["containers"]

    [backend] = route["spec"]["rules"][0]["backendRefs"]

    assert backend["name"] == agent["metadata"]["name"]
    assert backend["port"] == container["ports"][0]["containerPort"]


def test_each_agent_of_the_fleet_depends_on_agents_of_the_fleet_only():
    fleet = documents(EXAMPLES / "fleet.yaml")

    names = {agent["metadata"]["name"] for agent in fleet}
    needed = {name for agent in fleet for name in agent["spec"].get("dependsOn", [])}

    assert needed
    assert needed <= names
