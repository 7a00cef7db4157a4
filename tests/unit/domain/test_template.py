"""The template a person wrote becomes the pods that run, or is refused with a word on why."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tests.twin.samples import agent

from agentherd.domain.errors import InvalidTemplate, TemplateConflict
from agentherd.domain.kinds import GROUP
from agentherd.domain.revision import revision_of
from agentherd.domain.template import (
    STARTUP_SECONDS,
    check,
    container_ports,
    pod_template,
    probed_port,
)

HEALTH = {"http": {"path": "/ping", "port": "http"}, "intervalSeconds": 20}


def template(*containers: dict[str, Any], **pod: Any) -> dict[str, Any]:
    given = containers or ({"name": "agent", "image": "agent:1"},)
    return {"spec": {"containers": list(given)} | pod}


def pods_of(**spec: Any) -> dict[str, Any]:
    made = agent(**spec)
    return pod_template(made, revision_of(made.spec))


def first_container(**spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = pods_of(**spec)["spec"]["containers"][0]
    return container


def test_labels_and_annotations_of_the_template_are_kept() -> None:
    """Ours are added to theirs."""
    metadata = {"labels": {"team": "red"}, "annotations": {"scrape": "true"}}

    made = pods_of(template=template() | {"metadata": metadata}, version="1.0.0+build")

    assert made["metadata"]["annotations"] == {"scrape": "true"}
    assert made["metadata"]["labels"]["team"] == "red"
    assert made["metadata"]["labels"]["agentherd.dev/agent"] == "greeter"
    assert made["metadata"]["labels"]["app.kubernetes.io/version"] == "1.0.0_build"


def test_labels_of_ours_are_not_taken_from_a_template() -> None:
    """Pods that called themselves fresh ones of the stable version would be judged by nobody."""
    label = f"{GROUP}/{{}}".format
    theirs = {label(word): "true" for word in ("baseline", "admitted", "model", "traffic")}

    made = pods_of(template=template() | {"metadata": {"labels": theirs}})

    ours = {key: value for key, value in made["metadata"]["labels"].items() if GROUP in key}
    assert ours.keys() == {label("agent"), label("revision"), label("traffic")}
    assert ours[label("traffic")] == "on"


def test_metadata_of_null_is_no_metadata() -> None:
    """Templates are pasted from anywhere."""
    made = pods_of(template=template() | {"metadata": None})

    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "agentherd"


def test_every_container_is_told_who_it_is() -> None:
    """Ours come first, so that theirs may refer to them."""
    theirs = [{"name": "HOME", "value": "/"}]
    containers = (
        {"name": "agent", "image": "a", "env": theirs},
        {"name": "proxy", "image": "b"},
    )

    made = pods_of(template=template(*containers), version="1.0.0")

    names = [[v["name"] for v in c["env"]] for c in made["spec"]["containers"]]
    ours = ["AGENTHERD_AGENT", "AGENTHERD_REVISION", "AGENTHERD_VERSION"]
    assert names == [[*ours, "HOME"], ours]


def test_config_is_mounted_read_only_into_every_container() -> None:
    """Beside what the template mounts itself."""
    volume = {"name": "scratch", "emptyDir": {}}
    mount = {"name": "scratch", "mountPath": "/scratch"}
    container = {"name": "agent", "image": "a", "volumeMounts": [mount]}

    made = pods_of(template=template(container, volumes=[volume]), config={"prompt": "x"})

    ours = {
        "name": "agentherd-config",
        "mountPath": "/etc/agentherd/config",
        "readOnly": True,
    }
    assert [v["name"] for v in made["spec"]["volumes"]] == ["scratch", "agentherd-config"]
    assert made["spec"]["containers"][0]["volumeMounts"] == [mount, ours]


@pytest.mark.parametrize(
    ("update", "name"), [("Rollout", "greeter-{revision}"), ("InPlace", "agentherd-greeter")]
)
def test_config_comes_from_the_map_that_its_update_asks_for(update: str, name: str) -> None:
    """One map per revision when it is rolled out, one for all when it is reloaded."""
    made = agent(config={"a": "1"}, configUpdate=update)
    revision = revision_of(made.spec)

    volume = pod_template(made, revision)["spec"]["volumes"][0]

    assert volume["configMap"]["name"] == name.format(revision=revision.hash)


def test_without_config_nothing_is_mounted() -> None:
    """No volume, no variable."""
    made = pods_of()

    assert "volumes" not in made["spec"]
    assert "AGENTHERD_CONFIG_DIR" not in str(made)


def test_health_becomes_probes_of_the_first_container() -> None:
    """Readiness at the interval, after a start that is watched every second."""
    container = first_container(health=HEALTH | {"failureThreshold": 2})

    assert container["readinessProbe"] == {
        "httpGet": {"path": "/ping", "port": "http", "scheme": "HTTP"},
        "timeoutSeconds": 3,
        "periodSeconds": 20,
        "failureThreshold": 2,
    }
    assert container["startupProbe"]["periodSeconds"] == 1
    assert container["startupProbe"]["failureThreshold"] == STARTUP_SECONDS


def test_a_liveness_probe_of_the_template_stays() -> None:
    """Health says when to send work, not when to restart."""
    probe = {"tcpSocket": {"port": 1}}
    container = {"name": "agent", "image": "a", "livenessProbe": probe}

    assert first_container(template=template(container), health=HEALTH)["livenessProbe"] == probe


def test_draining_gives_time_before_and_after_sigterm() -> None:
    """The kubelet's grace counts from the preStop hook on."""
    made = pods_of(drain={"timeoutSeconds": 60, "delaySeconds": 5})

    assert made["spec"]["terminationGracePeriodSeconds"] == 65
    assert made["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_without_a_delay_there_is_no_hook() -> None:
    """SIGTERM comes at once, and a hook of the template stays."""
    hook = {"preStop": {"exec": {"command": ["true"]}}}
    container = {"name": "agent", "image": "a", "lifecycle": hook}

    made = first_container(template=template(container), drain={"timeoutSeconds": 60})

    assert made["lifecycle"] == hook


def test_a_post_start_hook_stays_beside_ours() -> None:
    """Only preStop is ours."""
    hook = {"postStart": {"exec": {"command": ["true"]}}}
    container = {"name": "agent", "image": "a", "lifecycle": hook}

    made = first_container(template=template(container), drain={"delaySeconds": 5})

    assert set(made["lifecycle"]) == {"postStart", "preStop"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {
                "template": template(
                    {"name": "a", "image": "a", "env": [{"name": "AGENTHERD_AGENT"}]}
                )
            },
            r"container a sets AGENTHERD_AGENT, which the operator sets; remove it",
        ),
        (
            {"template": template(volumes=[{"name": "agentherd-config"}]), "config": {"a": "1"}},
            r"volume agentherd-config, which spec.config needs; rename it",
        ),
        (
            {
                "template": template({"name": "a", "image": "a", "readinessProbe": {}}),
                "health": HEALTH,
            },
            r"container a has a readinessProbe and spec.health .* remove one of the two",
        ),
        (
            {
                "template": template({"name": "a", "image": "a", "startupProbe": {}}),
                "health": HEALTH,
            },
            r"container a has a startupProbe and spec.health",
        ),
        (
            {"template": template(terminationGracePeriodSeconds=5), "drain": {}},
            r"terminationGracePeriodSeconds, which spec.drain sets; remove one of the two",
        ),
        (
            {
                "template": template({"name": "a", "image": "a", "lifecycle": {"preStop": {}}}),
                "drain": {"delaySeconds": 1},
            },
            r"container a has a preStop hook and spec.drain.delaySeconds needs it; remove one",
        ),
    ],
    ids=["env", "volume", "readiness", "startup", "grace", "preStop"],
)
def test_what_is_set_twice_is_refused_with_a_way_out(spec: dict[str, Any], said: str) -> None:
    """There is no good guess at which of two wishes is meant."""
    with pytest.raises(TemplateConflict, match=said):
        pods_of(**spec)


def test_the_template_of_a_person_is_never_changed() -> None:
    """What was parsed is what was seen."""
    container = {"name": "a", "image": "a", "env": [], "lifecycle": {}, "volumeMounts": []}
    written = template(container, volumes=[]) | {"metadata": {"labels": {"team": "red"}}}
    made = agent(
        template=written,
        config={"a": "1"},
        health=HEALTH,
        drain={"delaySeconds": 5},
        version="1.0.0",
    )
    before = deepcopy(made.spec.template)

    pod_template(made, revision_of(made.spec))

    assert made.spec.template == before


@pytest.mark.parametrize(
    ("given", "account"),
    [
        ({"serviceAccountName": "mine"}, "mine"),
        ({"serviceAccount": "mine"}, "mine"),
        ({}, "agentherd-greeter"),
        ({"serviceAccountName": ""}, "agentherd-greeter"),
        ({"serviceAccountName": None}, "agentherd-greeter"),
    ],
)
def test_pods_run_as_the_account_that_the_template_names(given: Any, account: str) -> None:
    """Else as one of the Agent's own, which is granted nothing, and never as everybody's."""
    made = pods_of(template=template(**given))

    assert made["spec"]["serviceAccountName"] == account


def test_every_distinct_port_of_the_template_is_served() -> None:
    """Named as there, else by protocol and number; the first one stays the first."""
    ports = [
        {"containerPort": 9000, "protocol": "UDP"},
        {"containerPort": 8080, "name": "http"},
        {"containerPort": 8080},
        {"containerPort": "not-a-number"},
    ]
    containers = [{"name": "a", "ports": ports}, {"name": "b"}, {"name": "c", "ports": None}]

    served = container_ports({"spec": {"containers": containers}})

    assert [(p["name"], p["port"], p["protocol"]) for p in served] == [
        ("udp-9000", 9000, "UDP"),
        ("http", 8080, "TCP"),
    ]


def test_a_port_with_a_name_is_found_by_it_in_every_pod() -> None:
    """Pods of another version behind the same Service may listen elsewhere under that name."""
    ports = [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090}]

    served = container_ports({"spec": {"containers": [{"name": "a", "ports": ports}]}})

    assert [(p["port"], p["targetPort"]) for p in served] == [(8080, "http"), (9090, 9090)]


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"spec": None},
        {"spec": []},
        {"spec": {}, "metadata": "x"},
        {"spec": {}, "metadata": {"labels": ["a"]}},
        {"spec": {"containers": None}},
        {"spec": {"containers": ["a"]}},
    ],
    ids=str,
)
def test_a_template_of_another_shape_is_refused_in_words(template: dict[str, Any]) -> None:
    """A merge patch can make anything of it, and nothing may fail on that."""
    with pytest.raises(InvalidTemplate, match=r"must (be|have)"):
        check(template)


@pytest.mark.parametrize("other", [{"containerPort": 9090}, {"protocol": "UDP"}], ids=str)
@pytest.mark.parametrize("apart", [True, False])
def test_ports_of_one_name_are_refused_in_words(*, apart: bool, other: dict[str, Any]) -> None:
    """The API server would take the pods of two such containers, and refuse the Service."""
    port = {"containerPort": 8080, "name": "http"}
    lists = [[port], [port | other]] if apart else [[port, port | other]]

    with pytest.raises(InvalidTemplate, match="two container ports are named http"):
        check(template(*({"name": str(n), "ports": each} for n, each in enumerate(lists))))


def test_a_port_that_two_containers_name_is_one() -> None:
    port = {"containerPort": 8080, "name": "http"}
    made = template(*({"name": name, "ports": [port]} for name in "ab"))

    check(made)

    assert [each["name"] for each in container_ports(made)] == ["http"]


PORTS = [{"containerPort": 8080, "name": "http"}, {"name": "odd", "containerPort": "x"}]
PROBED = {"spec": {"containers": [{"name": "a", "ports": PORTS}, {"name": "b"}]}}


@pytest.mark.parametrize(
    ("port", "number"), [(9090, 9090), ("http", 8080), ("odd", None), ("nowhere", None)]
)
def test_the_port_of_a_probe_is_a_number_or_one_of_the_first_container(
    port: int | str, number: int | None
) -> None:
    """A name that nobody has leads nowhere."""
    assert probed_port(PROBED, port) == number
