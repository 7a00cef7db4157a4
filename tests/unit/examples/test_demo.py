"""What the demo prints of an upgrade under load, and what it counts as lost."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from examples.demo import terminal, timeline
from examples.demo.__main__ import LONG_LIVED, NAMESPACE, rivals
from examples.demo.change import ALONE, Change, Subject, keep_promise
from examples.demo.load import NOBODY, Answer, Load, read
from examples.demo.shell import DemoError, Request
from examples.demo.terminal import Style, styled
from examples.demo.timeline import Row, Tally, Timeline
from examples.demo.upgrade import GREETER, HOST, next_version

EXAMPLES = Path(__file__).parents[3] / "examples"


def vegeta_line(body: str = "", *, number: int = 0, code: int = 200, error: str = "") -> bytes:
    record = {
        "seq": number,
        "code": code,
        "error": error,
        "body": base64.b64encode(body.encode()).decode(),
    }
    return json.dumps(record).encode() + b"\n"


def answer(by: str, *, error: str = "") -> Answer:
    return Answer(number=0, by=by, error=error)


@pytest.mark.parametrize(
    ("line", "by", "error"),
    [
        (vegeta_line('{"version": "1.0.0"}'), "1.0.0", ""),
        (
            vegeta_line('{"version": "1.1.0"}', code=500, error="500 Internal Server Error"),
            "1.1.0",
            "500 Internal Server Error",
        ),
        (
            vegeta_line("Bad Gateway", code=502, error="502 Bad Gateway"),
            NOBODY,
            "502 Bad Gateway",
        ),
        (vegeta_line(code=0, error="EOF"), NOBODY, "EOF"),
        (vegeta_line(code=0), NOBODY, "0"),
    ],
    ids=["well", "version-fails", "gateway-fails", "no-answer", "no-word-at-all"],
)
def test_an_answer_is_known_by_its_version_and_a_failure_by_its_text(line, by, error):
    told = read(line)

    assert (told.by, told.error) == (by, error)


def test_answers_are_read_once_and_only_when_they_are_whole(tmp_path):
    load = Load("http://gateway", Request(host=HOST), rate=1, directory=tmp_path)
    whole, half = vegeta_line(number=0), vegeta_line(number=1)

    (tmp_path / "answers.jsonl").write_bytes(whole + half[:20])
    first = load.new()
    (tmp_path / "answers.jsonl").write_bytes(whole + half)
    then = load.new()

    assert [[answer.number for answer in answers] for answers in (first, then)] == [[0], [1]]


def test_a_stage_shows_the_weights_beside_the_requests_of_both_versions():
    status = {"phase": "Progressing", "step": 1, "steps": 2, "weight": 20, "weightSeen": 19}
    row = Row(second=7, status=status)
    row.tally.add([answer("1.0.0")] * 75 + [answer("1.1.0")] * 25 + [answer(NOBODY, error="x")])

    *columns, bar = row.text(old="1.0.0", new="1.1.0").split()

    assert columns == ["7", "Progressing", "1/2", "20", "%", "19", "%", "75", "25", "1"]
    assert bar == "█" * 5 + "·" * 15


def test_a_second_without_an_upgrade_and_without_an_answer_is_shown_too():
    columns = Row(second=1, status={}).text(old="1.0.0", new="1.1.0").split()

    assert columns == ["1", "–", "–", "–", "–", "0", "0", "0", "·" * 20]


def test_a_row_stands_below_the_names_of_its_columns():
    *_, names = timeline.head("1.0.0", "1.1.0").splitlines()
    row = Row(second=1, status={"weight": 5})
    row.tally.add([answer("1.1.0")])

    assert row.text(old="1.0.0", new="1.1.0").index(" 0  █") + len(" 0") == len(names)


def test_a_row_grows_for_as_long_as_phase_step_and_weight_stay(capsys):
    shown = Timeline(old="1.0.0", new="1.1.0")
    first = {"phase": "Progressing", "step": 1, "steps": 2, "weight": 20}

    shown.add(1, first, [answer("1.0.0")] * 3)
    shown.add(2, first | {"weightSeen": 25}, [answer("1.0.0"), answer("1.1.0")])
    shown.add(3, first | {"step": 2, "weight": 50}, [answer("1.1.0")])
    shown.end()

    _, _, _, growing, next_one, total = capsys.readouterr().out.splitlines()
    assert growing.split()[:-1] == ["1", "Progressing", "1/2", "20", "%", "25", "%", "4", "1", "0"]
    assert next_one.split()[:-1] == ["3", "Progressing", "2/2", "50", "%", "–", "0", "1", "0"]
    assert total.split() == ["all", "4", "2", "0"]


def test_the_sums_stand_below_what_they_sum_up(capsys):
    shown = Timeline(old="1.0.0", new="1.1.0")

    shown.add(1, {}, [answer("1.0.0"), answer("1.1.0")])
    shown.end()

    *_, row, total = capsys.readouterr().out.splitlines()
    assert row.startswith(f"{row[:37]}{total[37:]}")


def test_all_requests_are_counted_and_the_failed_ones_told():
    tally = Tally()

    tally.add([answer("1.0.0"), answer("1.1.0")])
    tally.add([answer("1.1.0", error="EOF")])

    assert str(tally) == "3 requests sent, 1 failed; answered: 1 by 1.0.0, 2 by 1.1.0"


def test_colours_are_for_a_terminal(monkeypatch):
    monkeypatch.setattr(terminal, "is_live", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = styled("text", Style.GOOD)
    monkeypatch.setenv("NO_COLOR", "1")

    assert coloured == "\033[32mtext\033[0m"
    assert styled("text", Style.GOOD) == "text"


def test_a_pipe_gets_neither_colours_nor_drafts(capsys):
    terminal.draft("half a line")
    terminal.title("Title")

    assert capsys.readouterr().out == "\n== Title\n"


@pytest.fixture
def promoted() -> Change:
    """A change that went as it should: 1.1.0 took over from 1.0.0."""
    change = Change(None, GREETER, old="1.0.0", new="1.1.0", spec={}, serves="1.1.0")
    change.total.add([answer("1.0.0"), answer("1.1.0")])
    change.alone = ALONE
    return change


def test_a_promise_that_is_kept_is_not_spoken_of(promoted):
    keep_promise(promoted, {"phase": "Succeeded"}, phase="Succeeded")


@pytest.mark.parametrize(
    ("phase", "damage", "said"),
    [
        ("RolledBack", lambda _: None, "is RolledBack, not Succeeded"),
        ("Succeeded", lambda c: c.total.add([answer("1.0.0", error="EOF")]), "1 failed"),
        ("Succeeded", lambda c: c.total.add([answer(NOBODY)]), "answered by nobody"),
        ("Succeeded", lambda c: c.total.by.pop("1.1.0"), "1.1.0 has had no requests"),
        ("Succeeded", lambda c: setattr(c, "alone", ALONE - 1), "1.1.0 does not serve alone"),
    ],
    ids=["another-end", "lost", "a-stranger", "no-canary", "the-other-goes-on"],
)
def test_a_promise_that_is_not_kept_ends_the_demo(
    promoted: Change, phase: str, damage: Callable[[Change], object], said: str
):
    damage(promoted)

    with pytest.raises(DemoError, match=said):
        keep_promise(promoted, {"phase": phase}, phase="Succeeded")


@pytest.mark.parametrize(
    ("request_", "typed"),
    [
        (Request(host="a.local"), "curl -H 'Host: a.local' http://gateway/"),
        (
            Request(host="a.local", path="/task", body='{"task": "greet"}'),
            """curl -H 'Host: a.local' http://gateway/task -d '{"task": "greet"}'""",
        ),
    ],
    ids=["get", "post"],
)
def test_a_request_is_shown_as_it_would_be_typed(request_: Request, typed: str):
    assert request_.typed("http://gateway") == typed


@pytest.mark.parametrize(
    ("before", "after"), [("1.0.0", "1.1.0"), ("1.9.3", "1.10.0"), ("2.0.0-rc.1", "2.1.0")]
)
def test_a_demo_goes_on_from_the_version_that_is_there(before, after):
    assert next_version(before) == after


@pytest.mark.parametrize(("subject", "file"), LONG_LIVED.items(), ids=str)
def test_the_demo_asks_what_its_example_describes(subject: Subject, file: str):
    described = yaml.safe_load((EXAMPLES / file).read_text(encoding="utf-8"))

    assert described["kind"].lower() == subject.kind
    assert described["metadata"]["name"] == subject.name
    assert described["spec"]["traffic"]["hostnames"] == [subject.request.host]


def route(namespace: str, *hosts: str) -> dict:
    metadata = {"namespace": namespace, "name": "greeter"}
    return {"metadata": metadata, "spec": {"hostnames": list(hosts)} if hosts else {}}


def test_a_route_elsewhere_that_asks_for_our_hosts_is_a_rival():
    routes = [
        route(NAMESPACE, HOST),
        route("first", "first.agentherd.local", HOST),
        route("second", "second.agentherd.local"),
        route("third"),
    ]

    assert rivals(routes) == ["HTTPRoute first/greeter"]
