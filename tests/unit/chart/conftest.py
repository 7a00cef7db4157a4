"""Tests of the chart are skipped only where Helm and kubectl have not been built yet."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from tests.installing.rendering import NotBuilt


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A clean clone has none of the programs; `make cluster-up` builds them."""
    try:
        return (yield)
    except NotBuilt as absent:
        pytest.skip(str(absent))
