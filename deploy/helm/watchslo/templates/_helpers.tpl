{{/* What it is, for labels; Prometheus calls its job so. */}}
{{- define "watchslo.appName" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of all objects: the release's, with the chart's if that is not in it; short enough for what is appended to it. */}}
{{- define "watchslo.name" -}}
{{- $app := include "watchslo.appName" . -}}
{{- $name := contains $app .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $app) -}}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "watchslo.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* The name of what belongs to no namespace, or lies in another one. */}}
{{- define "watchslo.clusterName" -}}
{{- list (include "watchslo.namespace" .) (include "watchslo.name" .) | uniq | join "-" -}}
{{- end -}}

{{/* An account that is not made here has to be named; "default" is what a Pod without one has. */}}
{{- define "watchslo.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "watchslo.name" .) "default") -}}
{{- end -}}

{{- define "watchslo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "watchslo.appName" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Those of Pods too: nothing that only says how they were installed. */}}
{{- define "watchslo.podLabels" -}}
{{ include "watchslo.selectorLabels" . }}
app.kubernetes.io/component: exporter
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "watchslo.labels" -}}
{{ include "watchslo.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "watchslo.subjects" -}}
- kind: ServiceAccount
  name: {{ include "watchslo.serviceAccountName" . }}
  namespace: {{ include "watchslo.namespace" . }}
{{- end -}}

{{- define "watchslo.image" -}}
{{- $registry := .Values.image.registry | default ((.Values.global).imageRegistry) -}}
{{- with .Values.image -}}
{{- with $registry }}{{ . }}/{{ end -}}
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
{{- if and .Values.canary.interval .Values.canary.pod (has "pods" $core) }}true{{ end -}}
{{- end -}}

{{- define "watchslo.writesCustomResource" -}}
{{- if and .Values.canary.interval .Values.canary.customResource }}true{{ end -}}
{{- end -}}

{{/* Whether anything is written: without an object the exporter would not start, or write to its own Pod. */}}
{{- define "watchslo.writes" -}}
{{- if or (include "watchslo.writesPods" .) (include "watchslo.writesCustomResource" .) (and .Values.canary.interval .Values.canary.node) }}true{{ end -}}
{{- end -}}

{{/* How a kubelet asks; takes the root and the path. */}}
{{- define "watchslo.probe" -}}
{{- if .root.Values.web.clientCertificates -}}
exec:
  command: [/opt/watchslo/bin/watchslo, healthcheck]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http-metrics
  {{- if .root.Values.web.tls }}
  scheme: HTTPS
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What `watchslo run` is told, by the names of its environment variables without their WATCHSLO_. */}}
{{- define "watchslo.settings" -}}
{{- if .Values.apiserver.urls }}
APISERVER: {{ join "," .Values.apiserver.urls | quote }}
{{- else if .Values.apiserver.discover }}
APISERVER_DISCOVER: true
{{- end }}
{{- if not .Values.apiserver.metrics }}
APISERVER_METRICS: "off"
{{- end }}
RESOURCE: {{ join "," .Values.watch.resources | quote }}
{{- with .Values.watch.customResources }}
CUSTOM_RESOURCES: {{ join "," . | quote }}
CUSTOM_RESOURCES_MAX: {{ $.Values.watch.customResourcesMax }}
{{- end }}
{{- if .Values.watch.podStartup }}
POD_STARTUP: true
{{- end }}
{{- if .Values.sharded }}
SHARD: auto/{{ .Values.replicas }}
{{- end }}
{{- if include "watchslo.writes" . }}
CANARY_INTERVAL: {{ .Values.canary.interval }}
{{- if include "watchslo.writesPods" . }}
CANARY_POD: $(POD_NAMESPACE)/$(POD_NAME)
{{- end }}
{{- if include "watchslo.writesCustomResource" . }}
CANARY_CUSTOM_RESOURCE: $(POD_NAMESPACE)/$(POD_NAME)
{{- end }}
{{- with .Values.canary.node }}
CANARY_NODE: {{ . | quote }}
{{- end }}
{{- end }}
{{- if ne .Values.metrics.histograms "classic" }}
METRICS_HISTOGRAMS: {{ .Values.metrics.histograms }}
{{- end }}
{{- if .Values.web.configSecret }}
WEB_CONFIG_FILE: /etc/watchslo/web/web-config.yml
{{- end }}
{{- if .Values.web.authFilter.enabled }}
WEB_AUTH_FILTER: true
{{- end }}
{{- end -}}

{{- define "watchslo.pulling" -}}
{{- with concat (((.Values.global).imagePullSecrets) | default list) .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "watchslo.webMount" -}}
{{- if .Values.web.configSecret -}}
- name: web-config
  mountPath: /etc/watchslo/web
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "watchslo.webVolume" -}}
{{- with .Values.web.configSecret -}}
- name: web-config
  secret:
    secretName: {{ . }}
{{- end -}}
{{- end -}}
