"""What the demo prints of an upgrade under load, and what it counts as lost."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from examples.demo import timeline
from examples.demo.load import NOBODY, Answer, read
from examples.demo.shell import DemoError
from examples.demo.timeline import Tally
from examples.demo.upgrade import AGENT, HOST, Change, keep_promise, next_version

CANARY = Path(__file__).parents[3] / "examples" / "canary.yaml"


def vegeta_line(body: str = "", *, code: int = 200, error: str = "") -> bytes:
    record = {"code": code, "error": error, "body": base64.b64encode(body.encode()).decode()}
    return json.dumps(record).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (vegeta_line('{"version": "1.0.0"}'), Answer(by="1.0.0")),
        (
            vegeta_line('{"version": "1.1.0"}', code=500, error="500 Internal Server Error"),
            Answer(by="1.1.0", error="500 Internal Server Error"),
        ),
        (
            vegeta_line("Bad Gateway", code=502, error="502 Bad Gateway"),
            Answer(by=NOBODY, error="502 Bad Gateway"),
        ),
        (vegeta_line(code=0, error="EOF"), Answer(by=NOBODY, error="EOF")),
        (vegeta_line(code=0), Answer(by=NOBODY, error="0")),
    ],
    ids=["well", "version-fails", "gateway-fails", "no-answer", "no-word-at-all"],
)
def test_an_answer_is_known_by_its_version_and_a_failure_by_its_text(line, answer):
    assert read(line) == answer


def test_a_second_shows_the_weights_beside_the_requests_of_both_versions():
    status = {"phase": "Progressing", "step": 1, "steps": 2, "weight": 20, "weightSeen": 19}
    answers = [Answer(by="1.0.0")] * 75 + [Answer(by="1.1.0")] * 25 + [Answer(by=NOBODY, error="x")]

    *columns, bar = timeline.line(7, status, answers, old="1.0.0", new="1.1.0").split()

    assert columns == ["7", "Progressing", "1/2", "20", "%", "19", "%", "75", "25", "1"]
    assert bar == "█" * 5 + "·" * 15


def test_a_second_without_an_upgrade_and_without_an_answer_is_shown_too():
    columns = timeline.line(1, {}, [], old="1.0.0", new="1.1.0").split()

    assert columns == ["1", "–", "–", "–", "–", "0", "0", "0", "·" * 20]


def test_a_line_stands_below_the_names_of_its_columns():
    *_, names = timeline.head("1.0.0", "1.1.0").splitlines()
    line = timeline.line(1, {"weight": 5}, [Answer(by="1.1.0")], old="1.0.0", new="1.1.0")

    assert line.index(" 0  █") + len(" 0") == len(names)


def test_all_requests_are_counted_and_the_failed_ones_told():
    tally = Tally()

    tally.add([Answer(by="1.0.0"), Answer(by="1.1.0")])
    tally.add([Answer(by="1.1.0", error="EOF")])

    assert str(tally) == "3 requests sent, 1 failed; answered: 1 by 1.0.0, 2 by 1.1.0"


@pytest.mark.parametrize(
    ("phase", "answer"),
    [("RolledBack", Answer(by="1.1.0")), ("Succeeded", Answer(by="1.0.0", error="EOF"))],
    ids=["another-end", "a-lost-request"],
)
def test_a_promise_that_is_not_kept_ends_the_demo(phase, answer):
    change = Change(None, old="1.0.0", new="1.1.0", config={})
    change.tally.add([answer])

    with pytest.raises(DemoError):
        keep_promise({"phase": phase}, "Succeeded", change)


@pytest.mark.parametrize(
    ("before", "after"), [("1.0.0", "1.1.0"), ("1.9.3", "1.10.0"), ("2.0.0-rc.1", "2.1.0")]
)
def test_a_demo_goes_on_from_the_version_that_is_there(before, after):
    assert next_version(before) == after


def test_the_demo_asks_the_agent_of_its_example():
    agent = yaml.safe_load(CANARY.read_text(encoding="utf-8"))

    assert agent["metadata"]["name"] == AGENT
    assert agent["spec"]["traffic"]["hostnames"] == [HOST]
