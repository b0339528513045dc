{{/* Everything of one service; the one line of its chart's templates/all.yaml. */}}
{{- define "kit.all" -}}
{{- $context := dict "root" . "name" .Chart.Name "v" (include "kit.values" . | fromYaml) -}}
{{- range list "serviceaccount" "configmap" "certificate" "service" "deployment" "pdb" "hpa" "scaledobject" "networkpolicy" "podmonitor" -}}
{{- with include (printf "kit.%s" .) $context }}
---
{{ . }}
{{- end }}
{{- end }}
{{- range $context.v.extraManifests }}
---
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Objects are named by the service alone, so that services find each other: one Sluice in a namespace. */}}
{{- define "kit.metadata" -}}
name: {{ .name }}
labels:
  {{- include "kit.labels" . | nindent 2 }}
{{- end -}}

{{- define "kit.labels" -}}
{{ include "kit.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sluice
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "kit.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "kit.serviceaccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* Ports by name; ops is for probes and scrapes of single pods and never part of the Service. */}}
{{- define "kit.ports" -}}
ops: 8081
http: 8443
grpc: 9443
{{- end -}}

{{- define "kit.service" -}}
{{- if .v.listens -}}
{{- $ports := include "kit.ports" . | fromYaml -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
  {{- with .v.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .v.service.type }}
  {{- if eq .v.service.type "LoadBalancer" }}
  externalTrafficPolicy: Local
  {{- end }}
  selector:
    {{- include "kit.selector" . | nindent 4 }}
  ports:
    {{- range .v.listens }}
    - {name: {{ . }}, port: {{ get $ports . }}, targetPort: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
{{- end -}}
