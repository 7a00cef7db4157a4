"""Argo CD's health check, run as Argo CD runs it: Lua 5.1 with little of its library."""

from __future__ import annotations

from typing import Any

import yaml
from lupa.lua51 import LuaRuntime
from tests.installing.rendering import ROOT, Object

CONFIG = ROOT / "manifests/gitops/argocd/argocd-cm.yaml"
KEY = "resource.customizations.health.agentherd.dev_"
ABSENT = ("debug", "io", "os", "string", "math", "require", "dofile", "loadfile")
"""What a script of Argo CD's cannot use unless somebody has opened it."""


def health(found: Object) -> tuple[str, str]:
    """The health of an object, and the message beside it."""
    script = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["data"][KEY + found["kind"]]
    runtime = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    for name in ABSENT:
        runtime.globals()[name] = None
    runtime.globals()["obj"] = _table(runtime, found)
    answer = runtime.execute(script)
    return answer["status"], answer["message"]


def _table(runtime: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return runtime.table_from({k: _table(runtime, v) for k, v in value.items()})
    if isinstance(value, list):
        return runtime.table_from([_table(runtime, each) for each in value])
    return value
