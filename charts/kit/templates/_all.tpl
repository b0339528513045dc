{{/* Everything of one service; the one line of its chart's templates/all.yaml. */}}
{{- define "kit.all" -}}
{{- $context := dict "root" . "name" .Chart.Name "v" (include "kit.values" . | fromYaml) -}}
{{- range list "serviceaccount" "configmap" "certificate" "service" "device-service" "deployment" "pdb" "hpa" "scaledobject" "networkpolicy" "podmonitor" -}}
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
mqtts: 8883
wss: 8884
psk: 8885
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

{{/* Apart from the Service above, because a balancer that faces the world must not offer gRPC. */}}
{{- define "kit.device-service" -}}
{{- if .v.devices.listens -}}
{{- $ports := include "kit.ports" . | fromYaml -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}-devices
  labels:
    {{- include "kit.labels" . | nindent 4 }}
  {{- with .v.devices.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .v.devices.service }}
  type: {{ .type }}
  {{- if ne .type "ClusterIP" }}
  externalTrafficPolicy: {{ .externalTrafficPolicy }}
  {{- end }}
  {{- if eq .type "LoadBalancer" }}
  {{- with .loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with .sourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "kit.selector" . | nindent 4 }}
  ports:
    {{- range .v.devices.listens }}
    - {name: {{ . }}, port: {{ get $ports . }}, targetPort: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
{{- end -}}
