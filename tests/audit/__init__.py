"""The roles of the operator, held against what it has asked the API server for.

The end-to-end tests run operators as the ServiceAccount that is installed, so what a role lacks is
refused there. Here is found what no test needed: a permission that nothing uses is of use to
somebody else. The log of the API server is the witness, not the code.
"""
