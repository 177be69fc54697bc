"""Whose fault is it: typed facts in, findings out. No clock, no I/O."""
