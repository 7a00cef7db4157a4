"""The rules of the product, as pure functions: no I/O, no clock, no randomness.

`decide` composes them: it takes what was seen of one Agent and the time, and returns a plan.
Each rule lives in the module named after its subject and can be read as its specification. What
an upgrade does is in `upgrades`, where requests go in `routing`, what is found worse in `judging`.
"""
