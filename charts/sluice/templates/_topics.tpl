{{/*
Strimzi's KafkaTopics. Partition counts decide which partition a key goes to, so a change of an installed topic's
count is refused unless it is asked for by name.
*/}}
{{- define "sluice.topics" -}}
{{- if eq .topics.mode "strimzi" }}
{{- $copies := .v.kafka.topics }}
{{- if $copies.create }}
{{- fail "topics.mode strimzi needs global.kafka.topics.create: false, or services would make the topics before Strimzi does" }}
{{- end }}
{{- range $name, $topic := .topics.list }}
{{- $full := printf "%s%s" $.v.kafka.namespace $name }}
{{- $partitions := int ($topic.partitions | default $copies.partitions | default 12) }}
{{- $installed := lookup "kafka.strimzi.io/v1" "KafkaTopic" $.root.Release.Namespace $full }}
{{- if and $installed (ne (int $installed.spec.partitions) $partitions) (not (has $name $.topics.repartition)) }}
{{- fail (printf "topic %s has %d partitions, values say %d: keys would move. If that is meant, add %s to topics.repartition" $full (int $installed.spec.partitions) $partitions $name) }}
{{- end }}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata:
  name: {{ $full }}
  labels:
    {{- include "kit.labels" $ | nindent 4 }}
    strimzi.io/cluster: {{ $.topics.strimziCluster }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  partitions: {{ $partitions }}
  replicas: {{ $copies.replicas | default 3 }}
  config:
    min.insync.replicas: {{ $copies.minInsyncReplicas | default 2 }}
    {{- if $topic.retentionDays }}
    cleanup.policy: delete
    retention.ms: {{ mul $topic.retentionDays 86400000 }}
    {{- else }}
    cleanup.policy: compact
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
