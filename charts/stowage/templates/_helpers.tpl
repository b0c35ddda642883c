{{/* The name of the release's objects. */}}
{{- define "stowage.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "stowage" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-stowage" (.Release.Name | trunc 42 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* The name of its objects without a namespace: another release may have the same name elsewhere. */}}
{{- define "stowage.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "stowage.name" .) -}}
{{- end -}}

{{/* What selects the operator's pods; it never changes. */}}
{{- define "stowage.selector" -}}
app.kubernetes.io/name: stowage
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "stowage.labels" -}}
{{ include "stowage.selector" . }}
{{ include "stowage.commonLabels" . }}
{{- end -}}

{{- define "stowage.commonLabels" -}}
app.kubernetes.io/part-of: stowage
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* An image by its short name: include "stowage.image" (list . "operator") */}}
{{- define "stowage.image" -}}
{{- $root := index . 0 -}}
{{- $short := index . 1 -}}
{{- $image := index $root.Values.images $short -}}
{{- $repository := $image.repository | default (printf "%s/stowage-%s" $root.Values.images.repository $short) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default $root.Values.images.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Restricted Pod Security, which is not for values to weaken. */}}
{{- define "stowage.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "stowage.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "stowage.pullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}
