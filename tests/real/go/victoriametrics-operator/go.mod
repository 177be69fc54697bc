// Pins the release whose custom resource definitions the tests install: VMServiceScrape and VMRule.
module watchslo.test/victoriametrics-operator

go 1.26.0

require github.com/VictoriaMetrics/operator v0.50.0
