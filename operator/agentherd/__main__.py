"""`python -m agentherd` is the same as `agentherd`."""

from agentherd.runtime.cli import main

main(prog_name="agentherd")
