"""Simulated canaries: how often a good one is rolled back, and how fast a bad one."""  # noqa: A005
