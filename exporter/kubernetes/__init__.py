"""Requests to an apiserver and their results: sessions, errors, discovery, permissions and canary writes.

Each request has a time limit, and each answer a size limit.
"""
