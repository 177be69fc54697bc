"""Pure computations about time: no await, no clock read, no I/O. Time is always an argument.

Instants are float seconds on this process's monotonic clock; wall-clock times are float seconds since the epoch.
"""
