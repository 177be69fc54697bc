{{/* The name of all objects: the release's, with the chart's if that is not in it; short enough for what is appended to it. */}}
{{- define "watchslo.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to no namespace, or lies in another one. */}}
{{- define "watchslo.clusterName" -}}
{{- list .Release.Namespace (include "watchslo.name" .) | uniq | join "-" -}}
{{- end -}}

{{- define "watchslo.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "watchslo.name" .) -}}
{{- end -}}

{{- define "watchslo.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "watchslo.labels" -}}
{{ include "watchslo.selectorLabels" . }}
app.kubernetes.io/component: exporter
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "watchslo.subjects" -}}
- kind: ServiceAccount
  name: {{ include "watchslo.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "watchslo.image" -}}
{{- with .Values.image -}}
{{- .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The names of the Pods, which are those of their canaries too, as a YAML list. */}}
{{- define "watchslo.podNames" -}}
{{- range until (int .Values.replicas) }}
- {{ include "watchslo.name" $ }}-{{ . }}
{{- end }}
{{- end -}}

{{/* What is watched, as API groups and their resources: {"": ["pods", "nodes"], "example.com": ["*"]}. */}}
{{- define "watchslo.watched" -}}
{{- $groups := dict -}}
{{- $names := .Values.watch.resources -}}
{{- if include "watchslo.writesCustomResource" . }}{{ $names = append $names "canaries.watchslo.dev" }}{{ end -}}
{{- range $name := $names -}}
  {{- $parts := splitList "." $name -}}
  {{- $group := rest $parts -}}
  {{- if regexMatch "^v[0-9]+((alpha|beta)[0-9]+)?$" (first $group | default "") }}{{ $group = rest $group }}{{ end -}}
  {{- $group = join "." $group -}}
  {{- $_ := set $groups $group (append (get $groups $group | default list) (first $parts) | uniq) -}}
{{- end -}}
{{- range $glob := .Values.watch.customResources -}}
  {{- $plural := splitList "." $glob | first -}}
  {{- $group := trimPrefix (printf "%s." $plural) $glob -}}
  {{- /* A role knows no patterns but "all". */ -}}
  {{- if regexMatch "[*?]" $plural }}{{ $plural = "*" }}{{ end -}}
  {{- $_ := set $groups $group (append (get $groups $group | default list) $plural | uniq) -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}

{{/* Whether the exporter writes to its own Pod: it has to watch it as well. */}}
{{- define "watchslo.writesPods" -}}
{{- $core := get (include "watchslo.watched" . | fromJson) "" | default list -}}
{{- if and .Values.canary.interval (has "pods" $core) }}true{{ end -}}
{{- end -}}

{{- define "watchslo.writesCustomResource" -}}
{{- if and .Values.canary.interval .Values.canary.customResource }}true{{ end -}}
{{- end -}}

{{/* How a kubelet asks; takes the root and the path. */}}
{{- define "watchslo.probe" -}}
{{- if .root.Values.web.clientCertificates -}}
exec:
  command: [/opt/watchslo/bin/watchslo, healthcheck, --web.config.file=/etc/watchslo/web/web-config.yml]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http-metrics
  {{- if .root.Values.web.tls }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}
