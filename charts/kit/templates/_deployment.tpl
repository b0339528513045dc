{{- define "kit.deployment" -}}
{{- $ports := include "kit.ports" . | fromYaml -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "kit.metadata" . | nindent 2 }}
spec:
  {{- if eq .v.autoscaling.mode "none" }}
  replicas: {{ .v.replicas | default 1 }}
  {{- end }}
  revisionHistoryLimit: 3
  minReadySeconds: {{ .v.rollout.minReadySeconds }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: {{ .v.rollout.maxSurge }}, maxUnavailable: {{ .v.rollout.maxUnavailable }}}
  selector:
    matchLabels:
      {{- include "kit.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "kit.selector" . | nindent 8 }}
        app.kubernetes.io/part-of: sluice
        {{- range .v.calls }}
        sluice/calls-{{ . }}: "true"
        {{- end }}
        {{- with .v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "kit.settings" . | sha256sum }}
        {{- with .v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ .name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "kit.grace-seconds" . }}
      {{- with .v.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- include "kit.pod-security" . | nindent 6 }}
      {{- include "kit.scheduling" . | trim | nindent 6 }}
      containers:
        - name: {{ .name }}
          image: {{ include "kit.image" . | quote }}
          imagePullPolicy: {{ .v.image.pullPolicy }}
          args: [--config, /etc/sluice/config.yaml]
          {{- with include "kit.env" . | trim }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          ports:
            {{- range concat (list "ops") .v.listens .v.devices.listens }}
            - {name: {{ . }}, containerPort: {{ get $ports . }}, protocol: TCP}
            {{- end }}
          startupProbe:
            httpGet: {path: /startupz, port: ops}
            periodSeconds: 2
            failureThreshold: {{ divf .v.lifecycle.startSeconds 2 | ceil }}
          livenessProbe:
            httpGet: {path: /livez, port: ops}
            periodSeconds: 10
            timeoutSeconds: 3
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          resources:
            {{- toYaml .v.resources | nindent 12 }}
          {{- include "kit.container-security" . | nindent 10 }}
          volumeMounts:
            - {name: sluice, mountPath: /etc/sluice, readOnly: true}
            - {name: tmp, mountPath: /tmp}
            {{- if .v.spoolSize }}
            - {name: spool, mountPath: /var/spool/sluice}
            {{- end }}
      volumes:
        - name: sluice
          projected:
            defaultMode: 0440
            sources:
              - configMap: {name: {{ .name }}}
              {{- include "kit.secrets" . | trim | nindent 14 }}
        - name: tmp
          emptyDir: {medium: Memory, sizeLimit: {{ .v.temporarySize }}}
        {{- with .v.spoolSize }}
        - name: spool
          emptyDir: {sizeLimit: {{ . }}}
        {{- end }}
{{- end -}}

{{/* Settings that differ from pod to pod, or follow its resources: as variables, which beat the YAML. */}}
{{- define "kit.env" -}}
{{- if has .name .v.calls }}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: SLUICE_GRPC_ADVERTISE, value: "$(POD_IP):9443"}
{{- end }}
{{- range $setting, $field := .v.fromPod }}
- name: SLUICE_{{ upper $setting }}
  {{- if regexMatch "^(limits|requests)[.]" $field }}
  valueFrom: {resourceFieldRef: {resource: {{ $field }}}}
  {{- else }}
  valueFrom: {fieldRef: {fieldPath: {{ $field }}}}
  {{- end }}
{{- end }}
{{- with .v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kit.image" -}}
{{- with .v.image -}}
{{- $name := printf "%s/%s" .registry $.name -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.tag | default $.root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* SIGTERM starts the drain, hence no preStop hook: not ready, then the drain, then time to close what it left. */}}
{{- define "kit.grace-seconds" -}}
{{- addf .v.lifecycle.endpointSeconds .v.lifecycle.drainSeconds 15 -}}
{{- end -}}

{{/* What Pod Security calls restricted, and a read-only root besides; values choose the ids alone. */}}
{{- define "kit.pod-security" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .v.securityContext.runAsUser }}
  runAsGroup: {{ .v.securityContext.runAsGroup }}
  fsGroup: {{ .v.securityContext.runAsGroup }}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kit.container-security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "kit.scheduling" -}}
{{- with .v.scheduling -}}
{{- if .spread }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "kit.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with get $.v.scheduling $key }}
{{ $key }}:{{ if kindIs "string" . }} {{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
