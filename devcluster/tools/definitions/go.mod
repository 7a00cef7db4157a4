module agentherd.dev/devcluster/definitions

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.4.13 // indirect
	github.com/fluxcd/helm-controller v1.4.3 // indirect
	github.com/fluxcd/kustomize-controller v1.7.3 // indirect
	github.com/fluxcd/source-controller v1.7.3 // indirect
	github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
)
