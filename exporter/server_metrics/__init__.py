"""What apiservers say of themselves at /metrics, or a Prometheus for them: numbers in, `ServerFacts` out."""
