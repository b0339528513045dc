{{/*
The one place where defaults, global values and a service's values meet. From weak to strong:
  kit.defaults < .Values.global < sizes[size] < the service's own values (its values.yaml, then the user's)
A map is merged key by key, anything else replaces, and null removes a key.
*/}}
{{- define "kit.values" -}}
{{- $own := deepCopy (omit .Values "global" "kit") -}}
{{- $values := include "kit.defaults" . | fromYaml -}}
{{- include "kit.overlay" (list $values (deepCopy (.Values.global | default dict))) -}}
{{- $size := $own.size | default $values.size -}}
{{- $sizes := $own.sizes | default dict -}}
{{- $_ := required (printf "%s: values have no sizes.%s" .Chart.Name $size) (get $sizes $size) -}}
{{- include "kit.overlay" (list $values (deepCopy (get $sizes $size))) -}}
{{- include "kit.overlay" (list $values $own) -}}
{{- range $kind := list "requests" "limits" -}}
{{- range list "cpu" "memory" -}}
{{- $_ := required (printf "%s: values have no resources.%s.%s" $.Chart.Name $kind .) (dig "resources" $kind . "" $values) -}}
{{- end -}}
{{- end -}}
{{- range without $values.uses "oidc" -}}
{{- $key := ternary "brokers" "url" (eq . "kafka") -}}
{{- $_ := required (printf "%s uses %s: set global.%s.%s" $.Chart.Name . . $key) (dig . $key "" $values) -}}
{{- end -}}
{{- toYaml $values -}}
{{- end -}}

{{/* Lays the second map over the first, in place. Helm's own merge functions take false and 0 for unset. */}}
{{- define "kit.overlay" -}}
{{- $base := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $base $key)) -}}
{{- include "kit.overlay" (list (get $base $key) $value) -}}
{{- else if kindIs "invalid" $value -}}
{{- $_ := unset $base $key -}}
{{- else -}}
{{- $_ := set $base $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
