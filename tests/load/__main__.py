"""Send load and print what it has shown, as JSON: `python -m tests.load --help`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.load.answer import Source
from tests.load.load import Load
from tests.load.report import Report
from tests.load.request import Request, stream, task
from tests.load.target import Target, gateway


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until all is answered or Ctrl-C; returns 1 when a request failed."""
    chosen = parser().parse_args(arguments)
    target = Target(url=chosen.url) if chosen.url else gateway()
    with tempfile.TemporaryDirectory() as directory:
        load = Load(
            target,
            request(chosen),
            rate=chosen.rate,
            seconds=chosen.seconds,
            directory=Path(directory),
        )
        with load:
            report = _finish(load).by(Source(chosen.by))
    print(json.dumps(report.to_json(), indent=None if chosen.line else 2))
    return 1 if report.failed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.load", description="Send load, open loop.")
    top.add_argument("--url", help="a server on the loopback; the cluster's Gateway if not given")
    top.add_argument("--host", default="", help="the host name that the Gateway routes by")
    top.add_argument("--rate", type=float, default=200, help="requests a second (default: 200)")
    top.add_argument("--seconds", type=float, default=10, help="for how long (default: 10)")
    top.add_argument("--by", choices=[str(source) for source in Source], default="version")
    top.add_argument("--line", action="store_true", help="print one line")
    what = top.add_mutually_exclusive_group()
    what.add_argument("--path", default="/", help="what to GET (default: /)")
    what.add_argument("--task", action="store_true", help="send tasks, which nobody sends twice")
    what.add_argument("--stream", type=int, metavar="SECONDS", help="ask for streams that long")
    return top


def request(chosen: argparse.Namespace) -> Request:
    """What the command line asks to send."""
    if chosen.task:
        return task(host=chosen.host)
    if chosen.stream:
        return stream(seconds=chosen.stream, host=chosen.host)
    return Request(host=chosen.host, path=chosen.path)


def _finish(load: Load) -> Report:
    try:
        return load.finish()
    except KeyboardInterrupt:
        return load.stop()


if __name__ == "__main__":
    raise SystemExit(main())
