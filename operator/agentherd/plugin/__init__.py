"""`kubectl agentherd`: upgrades as people want to see and steer them.

A client like any other: it has the rights of whoever runs it, by the kubeconfig of kubectl, and
whatever it does can be done with `kubectl patch` as well. What is shown is worked out by pure
functions from objects of the API; only `connection` and `following` speak to a cluster, and only
`cli` prints. Everything but `cli` is imported when a command needs it, so that `--help` and the
completion of a word do not wait for a client to be loaded.
"""
