{{/* A PrometheusRule from each alerts/*.yaml of the calling chart: plain rule files, so that promtool reads them too. */}}
{{- define "kit.prometheusrules" -}}
{{- range $path, $_ := .root.Files.Glob "alerts/*.yaml" }}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ $.name }}-{{ base $path | trimSuffix ".yaml" }}
  labels:
    {{- include "kit.labels" $ | nindent 4 }}
    {{- with $.v.monitoring.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- $.root.Files.Get $path | replace "runbook_url: runbook.md" (printf "runbook_url: %srunbook.md" $.v.monitoring.runbooks) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A ConfigMap from each dashboards/*.json of the calling chart, labelled for Grafana's sidecar. */}}
{{- define "kit.dashboards" -}}
{{- range $path, $_ := .root.Files.Glob "dashboards/*.json" }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $.name }}-dashboard-{{ base $path | trimSuffix ".json" }}
  labels:
    {{- include "kit.labels" $ | nindent 4 }}
    grafana_dashboard: "1"
  annotations:
    grafana_folder: Sluice
data:
  {{ base $path }}: |-
    {{- $.root.Files.Get $path | nindent 4 }}
{{- end }}
{{- end -}}
