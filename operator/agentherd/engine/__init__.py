"""One way through for every resource: store, queue, observe, decide, apply.

Nothing here knows what an Agent is for; the rules are in `agentherd.domain`, the words for the
API server in `agentherd.cluster`.
"""
