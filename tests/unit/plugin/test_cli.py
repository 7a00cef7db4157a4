"""The commands as they are typed, into a pipe and at a terminal.

The server behind them knows one Agent and its upgrades, and remembers what it was sent.
"""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.domain.models.samples import model
from tests.unit.plugin.conftest import Check
from tests.unit.plugin.samples import agent, hostile, judged, pod, replica_set, succeeded, worse
from tests.unit.plugin.servers import Answer, kubeconfig, server, told

from agentherd.plugin import cli, completion, connection
from agentherd.plugin.live import GONE

COMMANDS = sorted(cli.main.commands)

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@dataclass
class Shop:
    """A cluster that knows some objects by their paths, and its kubeconfig.

    What is `late` is found by its name and told by a watch, but in no list yet. What is `away` is
    late once somebody has asked for it by its path, in vain.
    """

    kubeconfig: str = ""
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    late: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    away: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str) -> Answer:
        path, _, query = path.partition("?")
        self.asked.append(f"{method} {path}")
        if path.endswith("selfsubjectreviews"):
            return 201, json.dumps({"status": {"userInfo": {"username": "ada"}}})
        if method == "POST":
            return 201, json.dumps({"metadata": {"name": "hello-to-1111111111-x"}})
        kind, _, name = path.rpartition("/")
        if path in self.away:
            self.late[kind] = [self.away.pop(path)]
            return told("ServiceUnavailable", 503, "the server is starting")
        items = self.objects.get(path)
        if "watch=1" in query:
            events = ({"type": "ADDED", "object": each} for each in self.late.get(path, []))
            return 200, "".join(f"{json.dumps(event)}\n" for event in events)
        if items is not None:
            return 200, json.dumps({"items": items, "metadata": {"resourceVersion": "1"}})
        known = [*self.objects.get(kind, []), *self.late.get(kind, [])]
        found = next((each for each in known if each["metadata"]["name"] == name), None)
        if found is None:
            return told("NotFound", 404, f"{name} not found", name=name)
        return 200, json.dumps(found)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    ours, shop = "/apis/agentherd.dev/v1alpha1/namespaces/shop", Shop()
    stored = {
        f"{ours}/agents": [agent(), agent("checkout", status={"upgrade": None})],
        f"{ours}/agentupgrades": [judged(), succeeded("hello-2"), hostile(), worse("hello-1")],
    }
    raw = {path: [each.model_dump(by_alias=True) for each in s] for path, s in stored.items()}
    raw[f"{ours}/agentupgrades"][2]["metadata"]["name"] = "hello-9"
    raw["/apis/agentherd.dev/v1alpha1/agents"] = raw[f"{ours}/agents"]
    raw["/apis/agentherd.dev/v1alpha1/agentupgrades"] = raw[f"{ours}/agentupgrades"]
    raw["/apis/apps/v1/namespaces/shop/replicasets"] = [replica_set("404ddc5402")]
    raw["/apis/apps/v1/namespaces/shop/controllerrevisions"] = [replica_set("1111111111")]
    raw["/api/v1/namespaces/shop/pods"] = [pod("hello-404ddc5402-aaaaa", "404ddc5402")]
    raw["/api/v1/namespaces"] = [{"metadata": {"name": "shop"}}]
    shop.objects = raw
    with server(shop.answer) as port:
        context = {"cluster": "c", "user": "u", "namespace": "shop"}
        place = kubeconfig(tmp_path, port, contexts=[{"name": "here", "context": context}])
        shop.kubeconfig = str(place.kubeconfig)
        monkeypatch.setattr(connection, "KUBE_CONFIG_DEFAULT_LOCATION", shop.kubeconfig)
        yield shop


def run(_shop: Shop, *words: str, **environment: str) -> Result:
    """The command with a pipe for its output."""
    done = CliRunner().invoke(cli.main, words, env=environment, prog_name="kubectl agentherd")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def at_terminal(shop: Shop, *words: str, columns: int = 40, **environment: str) -> str:
    """What a terminal of so many columns gets."""
    near, far = pty.openpty()
    ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "agentherd.plugin.cli", *words],
        env=os.environ | {"KUBECONFIG": shop.kubeconfig, "TERM": "xterm"} | environment,
        stdout=far,
        stderr=far,
        stdin=subprocess.DEVNULL,
    )
    os.close(far)
    parts = []
    try:
        while part := os.read(near, 65536):
            parts.append(part)
    except OSError:
        pass  # the end of a terminal
    os.close(near)
    assert process.wait(timeout=30) == 0
    return b"".join(parts).decode()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_is_the_one_that_was_found_good(command: str, check: Check) -> None:
    """It is the surface that people and scripts rely on."""
    words = [*command.split(), "--help"]

    answer = CliRunner().invoke(cli.main, words, prog_name="kubectl agentherd", terminal_width=80)

    check(f"help{'-' if command else ''}{command}.txt", answer.output)


@pytest.mark.parametrize("words", [["status"], ["tree", "hello"], ["explain", "hello"]])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_data(words: list[str], form: str, shop: Shop) -> None:
    """Of all that is shown, in both forms alike."""
    answer = run(shop, *words, "-o", form)

    data = json.loads(answer.stdout) if form == "json" else yaml.safe_load(answer.stdout)
    first = data[0] if words == ["status"] else data
    assert answer.exit_code == 0
    assert first["agent"] == "hello"


@pytest.mark.parametrize(
    "words", [["status"], ["status", "hello-9"], ["tree"], ["explain", "hello-9"], ["status", "-A"]]
)
def test_a_pipe_gets_no_control_characters(words: list[str], shop: Shop) -> None:
    """Whatever others have written into the cluster."""
    answer = run(shop, *words)

    assert answer.stdout
    assert answer.stderr == ""
    assert not CONTROL.search(answer.stdout)


def test_a_line_in_a_pipe_is_as_long_as_it_has_to_be(shop: Shop) -> None:
    """`grep` finds what stands in one sentence."""
    wide, narrow = run(shop, "status", "hello-3"), run(shop, "status", "hello-3", COLUMNS="40")

    assert max(map(len, wide.stdout.splitlines())) > 100
    assert max(map(len, narrow.stdout.splitlines())) <= 40


def test_a_pipe_that_is_closed_is_no_error(shop: Shop) -> None:
    """`| head -1` reads one line; nobody wants a traceback for that."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agentherd.plugin.cli", "explain", "hello"],
        env=os.environ | {"KUBECONFIG": shop.kubeconfig},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    words = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=30)

    assert words == ""


def test_an_output_that_knows_few_characters_gets_others(shop: Shop) -> None:
    """What was done is told, and no traceback."""
    words = ["feedback", "hello", "--rating", "4", "--from", "Žofie"]
    done = subprocess.run(
        [sys.executable, "-m", "agentherd.plugin.cli", *words],
        env=os.environ | {"KUBECONFIG": shop.kubeconfig, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert "Traceback" not in done.stderr
    assert done.stdout == "?ofie gives hello-3 4 of 5.\n"


@pytest.mark.parametrize("words", [["status"], ["explain", "hello"], ["tree"], ["chart", "hello"]])
def test_a_narrow_terminal_gets_lines_that_fit(words: list[str], shop: Shop) -> None:
    """In colours, unless they are not wanted."""
    coloured = at_terminal(shop, *words)
    plain = at_terminal(shop, *words, NO_COLOR="1")

    assert re.search("\x1b\\[[0-9;]*3[1-6]", coloured)
    assert not re.search("\x1b\\[[0-9;]*3[1-6]", plain)
    without = re.sub("\x1b\\[[0-9;]*m", "", plain)
    assert max(len(line) for line in without.replace("\r", "").splitlines()) <= 40


def test_a_terminal_without_abilities_gets_plain_text(shop: Shop) -> None:
    """An editor's shell, for example."""
    shown = at_terminal(shop, "status", TERM="dumb")

    assert not CONTROL.search(shown.replace("\r\n", "\n"))


def test_a_watch_in_a_pipe_ends_with_the_code_of_the_upgrade(shop: Shop) -> None:
    """Of one that has succeeded already, at once."""
    answer = run(shop, "watch", "hello-2")

    assert answer.exit_code == 0
    assert "hello-2  12:01:00 UTC" in answer.stdout
    assert not CONTROL.search(answer.stdout)


def test_a_watch_waits_for_the_upgrade_that_the_agent_names_already(shop: Shop) -> None:
    """The Agent was told first; that upgrade is on its way, and no deleted one."""
    path = "/apis/agentherd.dev/v1alpha1/namespaces/shop/agentupgrades"
    late = next(each for each in shop.objects[path] if each["metadata"]["name"] == "hello-2")
    shop.objects[path].remove(late)
    shop.objects[path.replace("upgrade", "")][0]["status"]["upgrade"] = "hello-2"
    late["metadata"]["resourceVersion"] = "2"
    shop.late[path] = [late]

    assert run(shop, "watch", "agent/hello").exit_code == 0

    shop.late.clear()
    assert run(shop, "watch", "agent/hello").exit_code == GONE


def test_a_watch_outlasts_a_server_that_is_away_for_a_moment(shop: Shop) -> None:
    """Also one that is away just when it is asked for an upgrade that only the Agent tells of."""
    path = "/apis/agentherd.dev/v1alpha1/namespaces/shop/agentupgrades"
    late = next(each for each in shop.objects[path] if each["metadata"]["name"] == "hello-2")
    shop.objects[path].remove(late)
    shop.objects[path.replace("upgrade", "")][0]["status"]["upgrade"] = "hello-2"
    late["metadata"]["resourceVersion"] = "2"
    shop.away[f"{path}/hello-2"] = late

    answer = run(shop, "watch", "agent/hello")

    assert shop.away == {}
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert "hello-2  12:01:00 UTC" in answer.stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["status", "helo"], 1, "has no Agent or upgrade helo (did you mean hello"),
        (["pause", "agent/checkout"], 1, "Agent checkout has no upgrade yet"),
        (["pause", "pod/x"], 1, "give a name, agent/NAME or upgrade/NAME"),
        (["pause", ""], 1, "give a name, agent/NAME or upgrade/NAME"),
        (["status", ".."], 1, ".. is no target: give a name, agent/NAME or upgrade/NAME"),
        (["status", "agent/hello?watch=1"], 1, "give a name, agent/NAME or upgrade/NAME"),
        (["watch", "upgrade/hello-3", "--next"], 1, "give --next the name of an Agent"),
        (["pause", "hello-2"], 1, "hello-2 has ended (Succeeded)"),
        (["chart", "hello-2"], 1, "nothing was measured of hello-2 yet"),
        (["promote", "hello", "--step", "9"], 1, "has 3 steps"),
        (["promote", "hello", "--step", "1", "--full"], 2, "not both"),
        (["abort", "hello", "--reason", "x" * 257], 2, "at most 256 characters"),
        (["feedback", "hello", "--rating", "6"], 2, "6 is not in the range"),
        (["status", "hello", "-A"], 2, "leave it out"),
        (["status", "--context", "hear"], 1, "no context hear (did you mean here?)"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    words: list[str], code: int, sentence: str, shop: Shop
) -> None:
    """It says what to do; nobody is shown a traceback."""
    answer = run(shop, *words)

    assert answer.exit_code == code
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


def test_a_chart_can_be_a_picture(shop: Shop, tmp_path: Path) -> None:
    """To be shown to those who were not there."""
    file = tmp_path / "chart.svg"

    done = run(shop, "chart", "hello", "--svg", str(file))
    refused = run(shop, "chart", "hello", "--svg", str(tmp_path / "no" / "chart.svg"))

    assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_text(encoding="utf-8").startswith("<svg")
    assert "cannot be written: No such file" in refused.stderr


def test_a_name_of_both_kinds_asks_which_is_meant(shop: Shop) -> None:
    """A verb is never guessed to the wrong one."""
    upgrades = shop.objects["/apis/agentherd.dev/v1alpha1/namespaces/shop/agentupgrades"]
    upgrades[1]["metadata"]["name"] = "hello"

    doubtful, clear = run(shop, "status", "hello"), run(shop, "status", "agent/hello")

    assert "say agent/hello or upgrade/hello" in doubtful.stderr
    assert clear.exit_code == 0


@pytest.mark.parametrize("words", [["pause", "hello"], ["approve", "hello"]])
def test_a_verb_says_what_it_did_and_how_to_go_on(words: list[str], shop: Shop) -> None:
    """An Agent's name means the upgrade that governs it; the options are repeated."""
    answer = run(shop, *words, "--context", "here")

    assert answer.exit_code == 0
    assert answer.stdout.startswith("hello-3 ")
    assert re.search(r"kubectl agentherd \w+ hello-3 --context here", answer.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pause hello", "hello-3 stays where it is, step 2 of 3, weight 25 %"),
        ("resume hello", "hello-3 is not paused by anybody."),
        ("promote hello", "hello-3 does not wait at step 2 or any before it."),
        ("promote hello --full", "hello-3 skips all steps that are left"),
        ("abort hello --reason slow", "hello-3 goes back to 1.4.1."),
        ("rollback hello", "hello-3 goes back to 1.4.1."),
        (
            "rollback hello --to-revision 1111111111",
            "hello-to-1111111111-x takes Agent hello back to 1111111111. It waits until",
        ),
        ("retry hello-1", "Attempt 2 of hello-1 begins. The feedback that was given still counts."),
        ("approve hello", "hello-3 is approved by ada. So far nothing of it waits for approval."),
        ("feedback hello --rating 4", "ada gives hello-3 4 of 5."),
        ("feedback hello --rating 4 --from bob", "bob gives hello-3 4 of 5."),
    ],
)
def test_each_verb_is_told_in_a_sentence(words: str, said: str, shop: Shop) -> None:
    """What it did, and to what."""
    answer = run(shop, *words.split())

    assert answer.exit_code == 0
    assert answer.stdout.startswith(said)
    wrote = [each for each in shop.asked if each.startswith(("PATCH", "POST /apis/agentherd"))]
    assert len(wrote) == (0 if words.startswith("resume") else 1)


@pytest.mark.parametrize("target", ["hello", "upgrade/hello-2", "agent/checkout"])
def test_the_status_of_one_is_shown_and_given_to_programs(target: str, shop: Shop) -> None:
    """Of an Agent with its upgrade, and of an upgrade by itself."""
    shown, data = run(shop, "status", target), run(shop, "status", target, "-o", "json")

    name = target.rpartition("/")[2]
    assert name in shown.stdout
    assert name in json.loads(data.stdout).values()


@pytest.mark.parametrize(
    ("governing", "code", "told"),
    [
        ("embedder-2", 0, "embedder-2 goes back to 1.4.1."),
        ("embedder-3", 1, "make 1.4.1 the activeVersion of embedder"),
    ],
)
def test_a_swap_that_has_succeeded_can_be_taken_back(
    governing: str, code: int, told: str, shop: Shop
) -> None:
    """A model is asked which upgrade governs it, as an Agent is."""
    ours = "/apis/agentherd.dev/v1alpha1/namespaces/shop"
    swap = succeeded("embedder-2").model_dump(by_alias=True)
    swap["spec"]["targetRef"] = {"kind": "ModelDeployment", "name": "embedder"}
    shop.objects[f"{ours}/agentupgrades"].append(swap)
    embedder = model(status={"upgrade": governing}).model_dump(by_alias=True)
    shop.objects[f"{ours}/modeldeployments"] = [embedder]

    back, drawn = run(shop, "rollback", "embedder-2"), run(shop, "tree", "embedder-2")

    assert back.exit_code == code
    assert told in back.output
    assert "is an upgrade of a ModelDeployment" in drawn.stderr


def test_nothing_to_be_shown_is_said(shop: Shop) -> None:
    """Where it was looked; a program that counts lines gets none."""
    shop.objects["/apis/agentherd.dev/v1alpha1/namespaces/empty/agents"] = []
    shop.objects["/apis/agentherd.dev/v1alpha1/namespaces/empty/agentupgrades"] = []

    answer = run(shop, "status", "-n", "empty")

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "There is no Agent in namespace empty." in answer.stderr


def test_a_watch_at_a_terminal_leaves_the_last_picture(shop: Shop) -> None:
    """So that how it ended can still be read."""
    shown = at_terminal(shop, "watch", "hello-2", columns=80)

    assert "Succeeded" in shown
    assert "UpgradeSucceeded: revision 9abc01ef22 serves" in re.sub(
        "\x1b\\[[0-9;?]*[a-zA-Z]", "", shown
    )


def test_an_approval_that_is_refused_names_the_permission(shop: Shop) -> None:
    """And who one is, which is what has to be told to whoever can give it."""
    allowed = shop.answer
    refusal = told("Forbidden", 403, "denied: you need to update agentupgrades/approval")
    with server(lambda how, path: refusal if how == "PATCH" else allowed(how, path)) as port:
        config = Path(shop.kubeconfig)
        config.write_text(re.sub(r"127.0.0.1:\d+", f"127.0.0.1:{port}", config.read_text()))

        answer = run(shop, "approve", "hello")

    assert answer.exit_code == 1
    assert "you are ada, and may not approve" in answer.stderr


def test_help_is_there_at_once() -> None:
    """Neither client nor models are loaded for it."""
    script = (
        "import sys; from agentherd.plugin import cli; "
        "print([m for m in ('kubernetes', 'rich', 'pydantic') if m in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's package alone has no client."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.delitem(sys.modules, "agentherd.plugin.connection", raising=False)

    answer = CliRunner().invoke(cli.main, ["status"])

    assert answer.exit_code == 1
    assert "pip install 'agentherd[plugin]'" in answer.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pau", ["pause"]),
        ("pause hello-", ["hello-3", "hello-2", "hello-9", "hello-1"]),
        ("pause agent/", ["agent/hello", "agent/checkout"]),
        ("status -n s", ["shop"]),
        ("status --context h", ["here"]),
        ("status -o ", ["json", "yaml"]),
        ("promote hello --f", ["--full"]),
        ("pause --context nowhere hello-", []),
    ],
)
def test_kubectl_is_told_what_may_come_next(
    words: str,
    offered: list[str],
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names of objects included; the last line keeps kubectl from offering files."""
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-agentherd", *words.split(" ")])

    completion.main()

    *lines, directive = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == offered
    assert directive == ":4"
