"""One watch: from the request to timestamped bytes and events, and how it continues after each end.

It survives closed connections, compacted revisions and expired credentials. Each end is counted under a reason, and the
reflector always tries again.
"""
