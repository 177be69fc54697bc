"""Our own HTTP server: access, limits and answers. No answer waits for an apiserver."""
