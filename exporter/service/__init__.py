"""The process: who is watched, for how long, and what becomes of it. Here the other rooms meet.

It survives whatever an apiserver does; an address or a definition that goes takes its streams along.
"""
