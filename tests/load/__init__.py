"""Load from vegeta, open loop, every answer kept; `python -m tests.load --help`.

    target ──▶ load ──▶ vegeta attack | vegeta encode ──▶ answers.jsonl ──▶ answer ──▶ report

A request is sent when it is due, whether or not those before it were answered, so a Gateway that
stalls shows in the latencies and not in fewer requests.
"""
