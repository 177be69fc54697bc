// Rules and dashboards as a mixin. It reads the generated files of this repository, so the whole of it is installed:
//   jb install github.com/watchslo/watchslo@v0.1.0
//   (import 'github.com/watchslo/watchslo/deploy/mixin/mixin.libsonnet') + { _config+:: { clusterLabel: 'k8s_cluster' } }
{
  _config+:: {
    // What tells clusters apart in your Prometheus.
    clusterLabel: 'cluster',
    // The share of time in which each resource has to be watched on some apiserver. The objective of latency is the exporter's own.
    coverage: 0.99,
    // Where WatchsloMemory begins.
    memoryMebibytes: 400,
    // URL of the folder of runbooks; those of this version, if null.
    runbooks: null,
    // The same shares under Sloth's names, for its dashboards.
    sloth: false,
  },

  local config = $._config,
  local replaced(text, words) = std.foldl(function(text, pair) std.strReplace(text, pair[0], pair[1]), words, text),
  local groups(text) = std.parseYaml(replaced(text, [
    ['(cluster, job', '(%s, job' % config.clusterLabel],
    ['$labels.cluster ', '$labels.%s ' % config.clusterLabel],
    ['{cluster=%q', '{' + config.clusterLabel + '=%q'],
    ['(1 - 0.99)', '(1 - %g)' % config.coverage],
    ['> 400 * 1024 * 1024', '> %d * 1024 * 1024' % config.memoryMebibytes],
  ])).groups,
  // A group has recordings or alerts, never both.
  local groups_with(key) = [
    group
    for group in groups(importstr '../rules/watchslo.rules.yaml')
    if std.objectHas(group.rules[0], key)
  ],
  local with_runbook(rule) = if config.runbooks == null then rule else rule {
    annotations+: { runbook_url: '%s/%s.md' % [config.runbooks, rule.alert] },
  },
  local dashboard(text) = std.parseJson(replaced(text, [
    [words % 'cluster', words % config.clusterLabel]
    for words in ['%s=~', '(%s,', '(le, %s', '{{%s}}', ', %s)']
  ])),

  prometheusRules+:: {
    groups+: groups_with('record')
             + if config.sloth then groups(importstr '../rules/watchslo-sloth.rules.yaml') else [],
  },
  prometheusAlerts+:: {
    groups+: [group { rules: std.map(with_runbook, group.rules) } for group in groups_with('alert')],
  },
  grafanaDashboards+:: {
    'watchslo-slo.json': dashboard(importstr '../../dashboards/watchslo-slo.json'),
    'watchslo-stages.json': dashboard(importstr '../../dashboards/watchslo-stages.json'),
    'watchslo-streams.json': dashboard(importstr '../../dashboards/watchslo-streams.json'),
    'watchslo-exporter.json': dashboard(importstr '../../dashboards/watchslo-exporter.json'),
  },
}
