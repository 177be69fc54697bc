"""Requests to an apiserver, and what their results mean: who answers, what it serves, what we may do, why it failed.

No request waits for ever, and no answer is longer than its limit.
"""
