"""Credentials are loaded, or it is said what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from agentherd.domain.errors import Unauthorized
from agentherd.runtime.connection import connect


@pytest.fixture
def settings() -> kopf.OperatorSettings:
    return kopf.OperatorSettings()


def kubeconfig(path: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": user}],
    }
    (path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path / "config"))


def test_a_token_is_taken_from_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: kopf.OperatorSettings
) -> None:
    """And sent with every request."""
    kubeconfig(tmp_path, monkeypatch, {"token": "t"})

    connection = connect(settings)

    assert connection.server == "http://127.0.0.1:6443"
    assert connection.headers["Authorization"] == "Bearer t"
    assert connection.tls is None


@pytest.mark.parametrize("user", [{}, {"exec": {"command": "aws"}}], ids=["none", "a program"])
def test_a_kubeconfig_without_credentials_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: kopf.OperatorSettings,
    user: dict[str, Any],
) -> None:
    """Going on without them ends in a riddle."""
    kubeconfig(tmp_path, monkeypatch, user)

    with pytest.raises(Unauthorized, match="make a kubeconfig with a token"):
        connect(settings)


def test_without_any_configuration_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: kopf.OperatorSettings
) -> None:
    """Neither a pod nor a kubeconfig."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(Unauthorized, match="set KUBECONFIG"):
        connect(settings)
