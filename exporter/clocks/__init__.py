"""Polls that date events. They are sent at a steady rate, and their answers are evidence for exporter.measure.

A poller survives every error. Which resources it can date is proven again periodically.
"""
