"""Runs Datadog's OpenMetrics check once, in the environment of requirements/datadog.txt; prints what it would send.

`python datadog_check.py INSTANCE`, which is JSON; so is the answer: for each metric its values, each with its tags.
"""

import json
import os
import sys

# A rule for Datadog's own integrations: no tag like `version`, which watchslo_build_info has. Agents take it.
os.environ["DDEV_SKIP_GENERIC_TAGS_CHECK"] = "true"

from datadog_checks.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator

check = OpenMetricsBaseCheckV2("openmetrics", {}, [json.loads(sys.argv[1])])
refused = check.run()
assert not refused, refused
sent = {name: aggregator.metrics(name) for name in aggregator.metric_names}
json.dump({name: [[one.value, one.tags] for one in metrics] for name, metrics in sent.items()}, sys.stdout)
