"""Our own HTTP server: who may ask, how much, and what is answered. No answer waits for an apiserver."""
