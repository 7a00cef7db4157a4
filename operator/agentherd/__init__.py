"""Agentherd: a Kubernetes operator for fleets of AI agents and their models."""

__version__ = "0.1.0"
