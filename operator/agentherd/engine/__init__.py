"""One way through for every resource: store, queue, observe, decide, apply.

What is here knows that there are Agents and not what they are for; the rules are in
`agentherd.domain`, the words for the API server in `agentherd.cluster`.
"""
