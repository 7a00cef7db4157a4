"""Benchmarks on the cluster with fake nodes; `python -m tests.bench --help`, docs/benchmarks.md."""
