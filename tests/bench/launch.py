"""Start the operator as its image does: without the client library that the tests install.

kopf imports it where it finds it, which costs 10 MB that no operator in a cluster ever has.
"""

from __future__ import annotations

import sys

sys.modules["kubernetes"] = None  # type: ignore[assignment]  # an import of it fails

from agentherd.runtime import process as process  # noqa: E402  (so that all is compiled)
from agentherd.runtime.cli import main  # noqa: E402

main()
