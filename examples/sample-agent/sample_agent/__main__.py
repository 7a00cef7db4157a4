"""Start the agent in a container, where it is process 1.

Process 1 ignores a SIGTERM that it has no handler for. So one is in place before the imports that
take most of the start-up time: a pod deleted while it starts goes away at once instead of after
its whole grace period.
"""

import signal
import sys


def main() -> None:
    """Run until SIGTERM; exit code 0 after a drain, 1 when the configuration is refused."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from sample_agent.lifecycle import run_from_environment

    sys.exit(run_from_environment())


if __name__ == "__main__":
    main()
