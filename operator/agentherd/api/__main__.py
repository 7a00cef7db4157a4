"""Write the files that are generated from the models, or check that they are fresh.

`python -m agentherd.api` is run at the root of the repository; `--check` writes nothing, names
each file that differs and exits with 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from agentherd.api.crd import crd_yaml
from agentherd.api.meta import API_GROUP
from agentherd.api.reference import reference
from agentherd.api.resources import RESOURCES

GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    **{f"crds/{API_GROUP}_{one.plural}.yaml": partial(crd_yaml, one) for one in RESOURCES},
    **{f"docs/reference/{one.singular}.md": partial(reference, one) for one in RESOURCES},
}


def stale_files(root: Path) -> dict[Path, str]:
    """The generated files under `root` that are missing or differ, with what belongs in them."""
    wanted = {root / name: render() for name, render in GENERATED.items()}
    return {path: text for path, text in wanted.items() if _read(path) != text}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentherd.api", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file is stale"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="root of the repository (default: here)"
    )
    options = parser.parse_args(arguments)
    stale = stale_files(options.root)
    if options.check:
        sys.stderr.writelines(f"{path} is stale: run `python -m agentherd.api`\n" for path in stale)
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path} written\n")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
