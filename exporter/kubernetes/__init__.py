"""The only room that talks to an apiserver, and the only one that may await."""
