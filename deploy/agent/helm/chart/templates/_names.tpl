{{- define "agent.labels" -}}
app.kubernetes.io/name: exclave-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "agent.allLabels" -}}
{{ include "agent.labels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "agent.usesCluster" -}}
{{- if or .Values.rbac.namespaces .Values.rbac.clusterRole }}true{{ else }}false{{ end }}
{{- end }}
