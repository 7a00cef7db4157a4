"""Requests that nobody but the version that is tried may fail, and did."""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.served import NEW
from tests.load.report import Report

NAMED: Final = 50
"""So many are written down one by one."""


def losses(report: Report, *, since: float, tried: str = NEW) -> dict[str, Any]:
    """How many were lost and which, with seconds `since` the change; those of `tried` apart.

    What was lost before the change was lost to a machine that is too slow for so many requests.
    """
    lost = report.failed_but_by(tried)
    return {
        "lost": len(lost),
        "lost before the change": sum(answer.ended < since for answer in lost),
        "failed by the new version": len(report.failed) - len(lost),
        "which": [
            {
                "at": round(answer.at - since, 3),
                "latency": round(answer.latency, 3),
                "by": answer.by(report.source),
                "code": answer.code,
                "text": answer.text,
            }
            for answer in lost[:NAMED]
        ],
    }
