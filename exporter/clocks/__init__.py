"""Polls that date events: sent at a steady rate, whatever becomes of the answers, and told to exporter.measure.

A clock survives every answer; which resource it is good for is proven anew while it lasts.
"""
