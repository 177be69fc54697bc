"""What prometheus_client writes."""

from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as StockHistogram

from exporter.vocabulary import LATENCY_BOUNDS


def stock_registry(lines: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    labels = ("apiserver", "group", "resource")
    stock = StockHistogram("stock_seconds", "The same.", labels, buckets=LATENCY_BOUNDS, registry=registry)
    for index in range(lines // (len(LATENCY_BOUNDS) + 3)):
        stock.labels("10.0.0.1:6443", "example.com", f"widgets{index}").observe(index / 7)
    return registry
