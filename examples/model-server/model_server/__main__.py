"""Start the server in a container, where it is process 1.

Process 1 ignores a SIGTERM that it has no handler for. So one is in place before the imports that
take most of the start-up time: a pod deleted while it starts goes away at once instead of after
its whole grace period. The libraries of the model read how many threads they may start when they
are imported, so that is said before, too.
"""

import os
import signal
import sys

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def main() -> None:
    """Run until SIGTERM; exit code 0 after a drain, 1 when the settings are refused."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    from model_server.lifecycle import run_from_environment

    sys.exit(run_from_environment())


if __name__ == "__main__":
    main()
