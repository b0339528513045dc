{{/* The binary's YAML: what follows from the values, with `config` laid over it. */}}
{{- define "kit.settings" -}}
{{- $settings := include "kit.derived" . | fromYaml -}}
{{- include "kit.overlay" (list $settings (deepCopy .v.config)) -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "kit.derived" -}}
{{- $secrets := "/etc/sluice/secrets" -}}
ops_listen: 0.0.0.0:8081
ops_token_file: {{ $secrets }}/ops/token
drain_delay: {{ .v.lifecycle.endpointSeconds }}s
shutdown_grace: {{ .v.lifecycle.drainSeconds }}s
{{- if has "http" .v.listens }}
http_listen: 0.0.0.0:8443
http_tls_cert_file: {{ $secrets }}/http/tls.crt
http_tls_key_file: {{ $secrets }}/http/tls.key
{{- end }}
{{- if has "grpc" .v.listens }}
grpc_listen: 0.0.0.0:9443
{{- end }}
{{- with .v.devices }}
{{- if .listens }}
mqtt_proxy_protocol: {{ .proxyProtocol }}
{{- end }}
{{- range .listens }}
{{ get (dict "mqtts" "mqtts_listen" "wss" "wss_listen" "psk" "mqtt_psk_listen") . }}: 0.0.0.0:{{ get (include "kit.ports" $ | fromYaml) . }}
{{- end }}
{{- end }}
{{- if include "kit.has-identity" . }}
tls_cert_file: {{ $secrets }}/tls/tls.crt
tls_key_file: {{ $secrets }}/tls/tls.key
tls_ca_file: {{ $secrets }}/tls/ca.crt
{{- end }}
{{- range without .v.calls .name }}
{{ replace "-" "_" . }}_address: {{ . }}:9443
{{- end }}
{{- if has "kafka" .v.uses }}
{{- with .v.kafka }}
kafka_brokers: {{ .brokers | quote }}
kafka_namespace: {{ .namespace | quote }}
{{- with .topics }}
kafka_topic_create: {{ .create }}
kafka_topic_partitions: {{ .partitions }}
kafka_topic_replication: {{ .replicas }}
kafka_topic_min_insync: {{ .minInsyncReplicas }}
{{- end }}
{{- if .tlsSecret }}
kafka_tls_ca_file: {{ $secrets }}/kafka/ca.crt
{{- if .clientCertificate }}
kafka_tls_cert_file: {{ $secrets }}/kafka/tls.crt
kafka_tls_key_file: {{ $secrets }}/kafka/tls.key
{{- end }}
{{- end }}
{{- if .saslMechanism }}
kafka_sasl_mechanism: {{ .saslMechanism }}
kafka_sasl_username: {{ .saslUsername | quote }}
kafka_sasl_password_file: {{ $secrets }}/kafka/password
{{- end }}
{{- end }}
{{- end }}
{{- if has "postgres" .v.uses }}
postgres_url: {{ .v.postgres.url | quote }}
{{- if .v.postgres.secret }}
postgres_password_file: {{ $secrets }}/postgres/password
{{- end }}
{{- if .v.postgres.caSecret }}
postgres_tls_mode: verify-full
postgres_tls_ca_file: {{ $secrets }}/postgres/ca.crt
{{- end }}
{{- end }}
{{- if has "redis" .v.uses }}
redis_url: {{ .v.redis.url | quote }}
{{- if .v.redis.secret }}
redis_password_file: {{ $secrets }}/redis/password
{{- end }}
{{- if .v.redis.caSecret }}
redis_tls_ca_file: {{ $secrets }}/redis/ca.crt
{{- end }}
{{- end }}
{{- if and (has "oidc" .v.uses) .v.oidc.issuer }}
oidc_issuer: {{ .v.oidc.issuer | quote }}
oidc_audience: {{ .v.oidc.audience | quote }}
oidc_jwks_url: {{ .v.oidc.jwksUrl | quote }}
{{- end }}
{{- range $setting, $file := .v.secretFiles }}
{{- if $file.secret }}
{{ $setting }}: {{ $secrets }}/{{ $setting }}/{{ $file.key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Sources of the one volume with everything secret: folder by folder from existing Secrets. */}}
{{- define "kit.secrets" -}}
{{- $identity := include "kit.identity-secret" . -}}
{{- include "kit.secret" (list .v.ops.secret "ops" "token") -}}
{{- if include "kit.has-identity" . -}}
{{- include "kit.secret" (list $identity "tls" "tls.crt" "tls.key" "ca.crt") -}}
{{- end -}}
{{- if has "http" .v.listens -}}
{{- include "kit.secret" (list (.v.tls.httpSecret | default $identity) "http" "tls.crt" "tls.key") -}}
{{- end -}}
{{- if has "kafka" .v.uses -}}
{{- with .v.kafka -}}
{{- if .tlsSecret -}}
{{- include "kit.secret" (concat (list .tlsSecret "kafka" "ca.crt") (ternary (list "tls.crt" "tls.key") list .clientCertificate)) -}}
{{- end -}}
{{- if .saslMechanism -}}
{{- include "kit.secret" (list (required "kafka.saslMechanism needs kafka.saslSecret" .saslSecret) "kafka" "password") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $store := list "postgres" "redis" -}}
{{- if has $store $.v.uses -}}
{{- with (get $.v $store).secret }}{{ include "kit.secret" (list . $store "password") }}{{ end -}}
{{- with (get $.v $store).caSecret }}{{ include "kit.secret" (list . $store "ca.crt") }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $setting, $file := .v.secretFiles -}}
{{- if $file.secret -}}
{{- include "kit.secret" (list $file.secret $setting $file.key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list secret folder key...) */}}
{{- define "kit.secret" }}
- secret:
    name: {{ index . 0 }}
    items:
      {{- range slice . 2 }}
      - {key: {{ . }}, path: secrets/{{ index $ 1 }}/{{ . }}}
      {{- end }}
{{- end -}}

{{- define "kit.has-identity" -}}
{{- if or (has "grpc" .v.listens) .v.calls -}}true{{- end -}}
{{- end -}}

{{- define "kit.identity-secret" -}}
{{- .v.tls.secret | default (printf "%s-tls" .name) -}}
{{- end -}}

{{- define "kit.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
data:
  config.yaml: |
    {{- include "kit.settings" . | nindent 4 }}
{{- end -}}

{{- define "kit.certificate" -}}
{{- if and .v.tls.certManager.enabled (or (include "kit.has-identity" .) (has "http" .v.listens)) -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  secretName: {{ include "kit.identity-secret" . }}
  commonName: {{ .name }}
  dnsNames:
    - {{ .name }}
    - {{ .name }}.{{ .root.Release.Namespace }}.svc
  usages: [digital signature, server auth, client auth]
  duration: {{ .v.tls.certManager.duration }}
  renewBefore: {{ .v.tls.certManager.renewBefore }}
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef:
    name: {{ .v.tls.certManager.issuer }}
    kind: {{ .v.tls.certManager.issuerKind }}
    group: cert-manager.io
{{- end -}}
{{- end -}}
