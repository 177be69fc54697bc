"""What a person types, but for `watchslo run`. Each ends with an exit code, and one sentence if it cannot go on."""
