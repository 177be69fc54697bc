"""The commands except `watchslo run`. Each ends with an exit code, and with one sentence if it fails."""
