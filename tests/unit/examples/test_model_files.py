"""The example files of models are what their README says: whole, restricted, and compatible."""

from pathlib import Path

import pytest
import yaml

from agentherd.api import ModelDeployment

EXAMPLES = Path(__file__).parents[3] / "examples"


def models() -> list:
    return [
        pytest.param(document, id=document["metadata"]["name"])
        for file in sorted(EXAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if document["kind"] == "ModelDeployment"
    ]


def test_there_is_an_example_of_a_model():
    assert models()


@pytest.mark.parametrize("model", models())
def test_each_model_uses_only_fields_that_the_api_has(model):
    parsed = ModelDeployment.model_validate(model)

    assert parsed.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == model["spec"]


@pytest.mark.parametrize("model", models())
def test_each_model_has_versions_to_swap_to_that_do_what_is_required(model):
    spec = model["spec"]

    names = [version["name"] for version in spec["versions"]]

    assert spec["activeVersion"] in names
    assert len(names) > 1
    for version in spec["versions"]:
        assert spec["requires"].items() <= version["compatibility"].items()


@pytest.mark.parametrize("model", models())
def test_each_template_meets_the_restricted_pod_security_standard(model):
    templates = [v["template"]["spec"] for v in model["spec"]["versions"] if "template" in v]

    for pod in templates:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert [container["securityContext"] for container in pod["containers"]] == [
            {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        ]
