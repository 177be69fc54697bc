// Pins the release whose custom resource definitions the tests install: ServiceMonitor, PrometheusRule and so on.
module watchslo.test/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
