{{- define "agentherd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "agentherd" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-agentherd" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "agentherd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "agentherd.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- /* A cluster-wide object needs a name that a release in another namespace does not have. */ -}}
{{- define "agentherd.clusterName" -}}
{{- $name := include "agentherd.fullname" . -}}
{{- if eq $name .Release.Namespace -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace $name -}}
{{- end -}}
{{- end }}

{{- define "agentherd.selector" -}}
app.kubernetes.io/name: agentherd
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "agentherd.labels" -}}
{{- include "agentherd.labelsAnd" (list . dict) }}
{{- end }}

{{- /*
Takes the context and the labels that people give to one kind of object, which stand above those that
they give to all. The schema refuses labels that the chart itself sets, so none is there twice.
*/ -}}
{{- define "agentherd.labelsAnd" -}}
{{- $context := first . -}}
{{- $given := dict -}}
{{- /* Not merge, to which an empty value is none. */ -}}
{{- range list $context.Values.commonLabels (last .) -}}
{{- range $name, $value := . -}}
{{- $_ := set $given $name $value -}}
{{- end -}}
{{- end -}}
{{ include "agentherd.selector" $context }}
app.kubernetes.io/part-of: agentherd
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version }}
{{- with $given }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "agentherd.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* What the operator may do with Agents and their children, in the cluster or in a namespace. */ -}}
{{- define "agentherd.rules" -}}
# Written only when an upgrade, or the canary of a model, has succeeded.
- apiGroups: [agentherd.dev]
  resources: [agents, modeldeployments]
  verbs: [get, list, patch, watch]
# Made for every change of a running Agent or model; a canary that is made active is promoted.
- apiGroups: [agentherd.dev]
  resources: [agentupgrades]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [agentherd.dev]
  resources: [agents/status, agentupgrades/status, modeldeployments/status]
  verbs: [patch]
# Asked for by clusters that check who may block the deletion of an owner.
- apiGroups: [agentherd.dev]
  resources: [agents/finalizers, modeldeployments/finalizers]
  verbs: [update]
# The children. Server-side apply is a patch, and a create where there is no object yet.
- apiGroups: [apps]
  resources: [controllerrevisions, replicasets]
  verbs: [create, delete, list, patch, watch]
# Looked at before they are made, because somebody else may have given their names.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [create, delete, get, list, patch, watch]
# Jobs that try a new version; read from the first Agent or upgrade on that has one.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, delete, get, list, patch, watch]
# Routes of Agents with a Gateway. Of those that people made, only weights are written.
- apiGroups: [gateway.networking.k8s.io]
  resources: [grpcroutes, httproutes]
  verbs: [create, delete, get, list, patch, watch]
{{- if not .Values.namespaces }}
# Read from the first Agent on that has copies of requests made, to know who can make them.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses, gateways]
  verbs: [list, watch]
{{- end }}
# Annotated when a config is reloaded in place, labelled when they leave the traffic, and deleted
# when an upgrade is tried again after they failed; ReplicaSets make and remove them.
- apiGroups: [""]
  resources: [pods]
  verbs: [delete, list, patch, watch]
# Whether a pod of a model is warm is a condition of the pod.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Only the kubelet's Events about volumes that cannot be mounted, which nothing else tells.
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
{{- end }}
