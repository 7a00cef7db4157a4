"""The process: kopf's frame, leadership, the HTTP endpoints, the command line.

What is specific to running as an operator lives here and nowhere else; the layers below could
be driven by a test or another program.
"""
