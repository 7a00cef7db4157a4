"""The development cluster: a real Kubernetes for the demo, the tests and the benchmarks.

`python -m devcluster up` ends with a cluster whose API server, Gateway and images are ready,
whatever the machine offers: the cluster of the current context if asked for, kind where a Docker
engine answers, else control plane, kubelet and data plane as processes of this machine. Only
`providers` knows which of the three it is.

The package runs without the operator and is not part of what is shipped.
"""
