"""A small agent to try Agentherd with: it answers, reloads, drains and fails on request."""
