"""`python -m tests.statistics`: simulate all canaries anew, and write figures and tables."""  # noqa: A005

from __future__ import annotations

import sys

from tests.statistics.report import FIGURES, PAGE, with_tables, written
from tests.statistics.table import BAD, CANARIES, COMPARED, GOOD, Row, compared, medians


def main() -> int:
    """Returns 1 when something is not as it was promised."""
    broken = []

    def found(row: Row) -> dict[str, object]:
        figures = row.figures()
        kept = row.kept(figures)
        if not kept:
            broken.append(row.what)
        print("kept  " if kept else "BROKEN", row.what, figures, file=sys.stderr)
        return {"what": row.what, **figures}

    figures = {
        "canaries": CANARIES,
        "good": [found(row) for row in GOOD],
        "bad": [found(row) for row in BAD],
        "compared": [{"what": what, **compared(course)} for what, course in COMPARED],
        "medians": medians(),
    }
    FIGURES.write_text(written(figures), encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
