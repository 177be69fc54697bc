{{/* The metadata of what scrapes and what alerts; takes the root and the labels that select it. */}}
{{- define "watchslo.monitorMetadata" -}}
name: {{ include "watchslo.name" .root }}
namespace: {{ include "watchslo.namespace" .root }}
labels:
  {{- include "watchslo.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Refuses what the operator could not scrape with; takes the root, the value's name and what the user says of the endpoint. */}}
{{- define "watchslo.needsAuthorization" -}}
{{- if and .root.Values.web.authFilter.enabled (not (hasKey .endpoint "authorization")) -}}
{{- fail (printf "with web.authFilter.enabled, %s.authorization has to name a Secret with a token: the operator gives Prometheus' own to a ServiceMonitor only" .name) -}}
{{- end -}}
{{- end -}}

{{/* Prometheus takes what is offered only if it is told to. */}}
{{- define "watchslo.nativeHistograms" -}}
{{- if ne .Values.metrics.histograms "classic" -}}
scrapeNativeHistograms: true
{{- end -}}
{{- end -}}

{{/* The rules, as the values of prometheusRule want them. */}}
{{- define "watchslo.rules" -}}
{{- with .Values.prometheusRule -}}
{{- $runbooks := printf "https://github.com/watchslo/watchslo/blob/v%s/docs/runbooks" $.Chart.AppVersion -}}
{{- $rules := $.Files.Get "files/watchslo.rules.yaml" -}}
{{- if .sloth -}}
{{- $rules = print $rules (regexReplaceAll "(?s)^.*?groups:\n" ($.Files.Get "files/watchslo-sloth.rules.yaml") "") -}}
{{- end -}}
{{- $rules = replace "(cluster, job" (printf "(%s, job" $.Values.clusterLabel) $rules -}}
{{- $rules = replace "$labels.cluster " (printf "$labels.%s " $.Values.clusterLabel) $rules -}}
{{- $rules = replace "{cluster=%q" (print "{" $.Values.clusterLabel "=%q") $rules -}}
{{- $rules = replace "(1 - 0.99)" (printf "(1 - %v)" .coverage) $rules -}}
{{- $rules = replace "> 400 * 1024 * 1024" (printf "> %v * 1024 * 1024" .memoryMebibytes) $rules -}}
{{- replace $runbooks (default $runbooks .runbooks) $rules -}}
{{- end -}}
{{- end -}}
