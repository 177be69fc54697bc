"""What happened in the last six hours, in bounded memory. No clock, no I/O; it is lost when the process ends."""
