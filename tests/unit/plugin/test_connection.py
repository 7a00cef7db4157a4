"""What a person is told when a cluster does not do as it should: one sentence, without a traceback.

The servers here are as small as what they are about; what a real one does is seen end to end.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.plugin.servers import Answer, kubeconfig, server, told

from agentherd.domain.kinds import AGENT
from agentherd.plugin import following
from agentherd.plugin.connection import Connection, Expired, Place
from agentherd.plugin.following import Following, Sight
from agentherd.plugin.problems import Absent, Changed, Denied, Problem, Unanswered

FORBIDDEN = 'agents.agentherd.dev is forbidden: User "ada" cannot list resource "agents"'


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (told("Unauthorized", 401, "Unauthorized"), Problem, "log in again"),
        (told("Forbidden", 403, FORBIDDEN), Denied, f"{FORBIDDEN}; ask whoever runs"),
        ((404, "404 page not found\n"), Problem, "Agentherd is not installed in the cluster"),
        (told("NotFound", 404, 'agents "x" not found', name="x"), Absent, 'agents "x" not found'),
        (told("Conflict", 409, "it was modified", name="x"), Changed, "run the command again"),
        (told("Expired", 410, "too old resource version"), Expired, "too old"),
        (told("Invalid", 422, "spec.attempt: must not"), Problem, "spec.attempt: must not"),
        (told("TooManyRequests", 429, "slow down"), Unanswered, "slow down; try again"),
        ((503, "<html>down</html>"), Unanswered, "not able to answer"),
        (
            (503, "<p>\x1b[2J\n" + "down " * 99),
            Unanswered,
            "r: <p>\ufffd[2J" + " down" * 38 + " do; try",
        ),
        ((200, "<html>a login page</html>"), Problem, "is no API server"),
        ((200, '["what is it?"]'), Problem, "is no API server"),
        ((302, ""), Problem, "is no API server"),
    ],
)
def test_each_answer_becomes_a_sentence(
    answer: Answer, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    """It says what to do."""
    with server(lambda *_: answer) as port:
        connection = Connection(kubeconfig(tmp_path, port))

        with pytest.raises(error) as caught:
            connection.moment(AGENT)

    assert sentence in str(caught.value)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    """Who looks for an object by its name decides what its absence means."""
    answer = told("NotFound", 404, 'agents "x" not found', name="x")
    with server(lambda *_: answer) as port:
        assert Connection(kubeconfig(tmp_path, port)).find(AGENT, "x") is None


def test_a_server_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """With the context that leads to it, and the cause in a few words."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        connection = Connection(kubeconfig(tmp_path, port))

        with pytest.raises(Unanswered) as caught:
            connection.moment(AGENT)

    assert f"http://127.0.0.1:{port}, the cluster of context here" in caught.value.message
    assert "refused" in caught.value.message
    assert "object at 0x" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "context", "sentence"),
    [
        ({}, "hear", "no context hear (did you mean here?)"),
        ({"current-context": ""}, None, "no current context"),
        ({"current-context": "gone"}, None, "no context gone"),
        ({"contexts": None}, None, "no context here"),
        ({"clusters": []}, None, "the context here cannot be used"),
        ({"contexts": ["x"]}, None, "is no kubeconfig"),
        ({"contexts": [{"name": "here", "context": "c"}]}, None, "is no kubeconfig"),
        ({"current-context": ["here"]}, None, "is no kubeconfig"),
        ({"clusters": [{"name": "c", "cluster": {"server": 5}}]}, None, "cannot be used"),
        ({"clusters": [{"name": "c", "cluster": {"server": "http://[::"}}]}, None, "be used"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_told(
    changes: dict[str, Any], context: str | None, sentence: str, tmp_path: Path
) -> None:
    """Before anything is sent."""
    path = kubeconfig(tmp_path, 1, **changes).kubeconfig

    with pytest.raises(Problem) as caught:
        Connection(Place(kubeconfig=path, context=context))

    assert sentence in caught.value.message


def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path: Path) -> None:
    """As one with a line break in it."""
    users = [{"name": "u", "user": {"token": "my\nsecret"}}]
    with server(lambda *_: (200, "{}")) as port:
        connection = Connection(kubeconfig(tmp_path, port, users=users))

        with pytest.raises(Problem) as caught:
            connection.moment(AGENT)

    assert "the credentials of context here" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("content", [None, "", "just text", "a: [", "[]"])
def test_a_file_that_is_no_kubeconfig_is_told(content: str | None, tmp_path: Path) -> None:
    """Whatever it has in it."""
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)

    with pytest.raises(Problem) as caught:
        Connection(Place(kubeconfig=str(file)))

    assert str(file) in caught.value.message


def test_the_context_says_which_namespace_is_meant(tmp_path: Path) -> None:
    """As with kubectl: the option, then the context, then `default`."""
    context = {"cluster": "c", "user": "u", "namespace": "shop"}
    place = kubeconfig(tmp_path, 1, contexts=[{"name": "here", "context": context}])

    assert Connection(place).namespace == "shop"
    assert Connection(Place(kubeconfig=place.kubeconfig, namespace="x")).namespace == "x"
    assert Connection(kubeconfig(tmp_path, 1)).namespace == "default"


def test_a_context_can_be_chosen_where_none_is_current(tmp_path: Path) -> None:
    """The option is enough."""
    path = kubeconfig(tmp_path, 1, **{"current-context": None}).kubeconfig

    assert Connection(Place(kubeconfig=path, context="here")).context == "here"


def test_a_watch_starts_anew_when_the_server_has_forgotten(tmp_path: Path) -> None:
    """What comes then is the whole truth, so what was deleted meanwhile is gone."""
    lists = iter([["a", "b"], ["b"]])

    def answer(_method: str, path: str) -> Answer:
        if "watch=1" in path:
            return 200, json.dumps({"type": "ERROR", "object": {"code": 410}}) + "\n"
        try:
            names = next(lists)
        except StopIteration:
            return told("Forbidden", 403, "enough")
        items = [{"metadata": {"name": name, "uid": name}} for name in names]
        return 200, json.dumps({"items": items, "metadata": {"resourceVersion": "1"}})

    with server(answer) as port:
        sights = Following(Connection(kubeconfig(tmp_path, port)), {AGENT: ""}).sights(tick=5)

        assert names_of(next(sights)) == ["a", "b"]
        assert names_of(next(sights)) == ["b"]
        with pytest.raises(Denied):
            next(sights)


@pytest.mark.parametrize(
    "line",
    ['{"type": "ADDED", "obj', '{"type": "ERROR", "object": {"code": 500, "message": "down"}}'],
    ids=["cut off", "an error of the server"],
)
def test_a_watch_that_breaks_off_goes_on_after_a_while(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stands between may cut off a line in the middle; it is told, and waited for."""
    monkeypatch.setattr(following, "AGAIN", 0)

    def answer(_method: str, path: str) -> Answer:
        if "watch=1" in path:
            return 200, line
        items = [{"metadata": {"name": "a", "uid": "a"}}]
        return 200, json.dumps({"items": items, "metadata": {"resourceVersion": "1"}})

    with server(answer) as port:
        sights = Following(Connection(kubeconfig(tmp_path, port)), {AGENT: ""}).sights(tick=5)
        first, second, third = (next(sights) for _ in range(3))
        del sights

    assert names_of(first) == names_of(third) == ["a"]
    assert second is not None
    assert "broke off" in second.trouble


def names_of(sight: Sight | None) -> list[str]:
    return [each["metadata"]["name"] for each in sight.objects] if sight else []
