{{- define "kit.pdb" -}}
{{- if .v.pdb.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .v.pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "kit.selector" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "kit.hpa" -}}
{{- if eq .v.autoscaling.mode "cpu" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .name }}}
  minReplicas: {{ .v.autoscaling.minReplicas }}
  maxReplicas: {{ .v.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .v.autoscaling.cpuPercent }}}
  behavior:
    # Up at once, down slowly: connections and warm caches do not move by themselves.
    scaleUp: {stabilizationWindowSeconds: 0}
    scaleDown:
      stabilizationWindowSeconds: 600
      policies: [{type: Pods, value: 1, periodSeconds: 600}]
{{- end -}}
{{- end -}}

{{- define "kit.scaledobject" -}}
{{- if eq .v.autoscaling.mode "kafka-lag" -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  scaleTargetRef: {name: {{ .name }}}
  minReplicaCount: {{ .v.autoscaling.minReplicas }}
  maxReplicaCount: {{ .v.autoscaling.maxReplicas }}
  triggers:
    - type: kafka
      metadata:
        bootstrapServers: {{ .v.kafka.brokers | quote }}
        consumerGroup: {{ printf "%s%s" .v.kafka.namespace .name }}
        topic: {{ printf "%s%s" .v.kafka.namespace (required "autoscaling.mode kafka-lag needs autoscaling.topic" .v.autoscaling.topic) }}
        lagThreshold: {{ .v.autoscaling.lagThreshold | quote }}
        activationLagThreshold: "1"
        # A pod without a partition would idle, and a record that cannot be consumed is no reason for more pods.
        limitToPartitionsWithLag: "true"
        excludePersistentLag: "true"
        allowIdleConsumers: "false"
        {{- if .v.kafka.tlsSecret }}
        tls: enable
        {{- end }}
        {{- with .v.kafka.saslMechanism }}
        sasl: {{ get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") . }}
        {{- end }}
      {{- if or .v.kafka.tlsSecret .v.kafka.saslMechanism }}
      authenticationRef: {name: {{ .name }}-kafka}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: {{ .name }}-kafka
  labels:
    {{- include "kit.labels" . | nindent 4 }}
spec:
  secretTargetRef:
    {{- if .v.kafka.tlsSecret }}
    - {parameter: ca, name: {{ .v.kafka.tlsSecret }}, key: ca.crt}
    {{- if .v.kafka.clientCertificate }}
    - {parameter: cert, name: {{ .v.kafka.tlsSecret }}, key: tls.crt}
    - {parameter: key, name: {{ .v.kafka.tlsSecret }}, key: tls.key}
    {{- end }}
    {{- end }}
    {{- if .v.kafka.saslMechanism }}
    - {parameter: username, name: {{ .v.kafka.saslSecret }}, key: username}
    - {parameter: password, name: {{ .v.kafka.saslSecret }}, key: password}
    {{- end }}
      {{- end }}
{{- end -}}
{{- end -}}
