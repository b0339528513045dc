{{/*
Denies both ways but for the edges that exist. Who calls whom is said once, by the caller's `calls`: it opens the
caller's way out and labels its pods, and the label is what the callee's policy lets in.
*/}}
{{- define "kit.networkpolicy" -}}
{{- if .v.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "kit.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if has "grpc" .v.listens }}
    # services that call this one
    - from:
        - podSelector: {matchLabels: {sluice/calls-{{ .name }}: "true"}}
      ports: [{port: grpc, protocol: TCP}]
    {{- end }}
    {{- with .v.devices.listens }}
    # devices
    - ports:
        {{- range . }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
      {{- with $.v.networkPolicy.devices }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- if has "http" .v.listens }}
    {{- include "kit.ingress" (list "operators" .v.networkPolicy.operators "http") | nindent 4 }}
    {{- end }}
    {{- include "kit.ingress" (list "monitoring" .v.networkPolicy.monitoring "ops") | nindent 4 }}
    {{- with .v.networkPolicy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  egress:
    # cluster DNS
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
    {{- range .v.calls }}
    # {{ . }}
    - to:
        - podSelector: {matchLabels: {app.kubernetes.io/name: {{ . }}}}
      ports: [{port: grpc, protocol: TCP}]
    {{- end }}
    {{- range without .v.uses "oidc" }}
    # {{ . }}
    - ports:
        {{- range include "kit.store-ports" (list $.v .) | fromYamlArray }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
      {{- with $.v.networkPolicy.stores }}
      to:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- if and (has "oidc" .v.uses) .v.oidc.issuer }}
    # the operators' identity provider
    - ports: [{port: 443, protocol: TCP}]
    {{- end }}
    {{- with .v.networkPolicy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* (list who peers port): nothing when nobody is named, for an empty `from` would let everybody in. */}}
{{- define "kit.ingress" -}}
{{- with index . 1 -}}
# {{ index $ 0 }}
- from:
    {{- toYaml . | nindent 4 }}
  ports: [{port: {{ index $ 2 }}, protocol: TCP}]
{{- end -}}
{{- end -}}

{{/* (list values store): the ports in `host:port,…` or `scheme://user@host:port,…/path`, or the store's usual one. */}}
{{- define "kit.store-ports" -}}
{{- $store := index . 1 -}}
{{- $values := get (index . 0) $store -}}
{{- $hosts := regexReplaceAll "^[a-z]+://([^@/]*@)?([^/?]*).*$" ($values.brokers | default $values.url) "${2}" -}}
{{- $ports := list -}}
{{- range splitList "," $hosts -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) -}}
{{- $ports = append $ports ($port | default (get (dict "kafka" "9092" "postgres" "5432" "redis" "6379") $store)) -}}
{{- end -}}
{{- uniq $ports | toYaml -}}
{{- end -}}

{{- define "kit.podmonitor" -}}
{{- if .v.monitoring.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ .name }}
  labels:
    {{- include "kit.labels" . | nindent 4 }}
    {{- with .v.monitoring.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "kit.selector" . | nindent 6 }}
  podMetricsEndpoints:
    - port: ops
      path: /metrics
      interval: {{ .v.monitoring.interval }}
      authorization:
        type: Bearer
        credentials: {name: {{ .v.ops.secret }}, key: token}
      relabelings:
        - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], targetLabel: service}
{{- end -}}
{{- end -}}
