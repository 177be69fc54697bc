"""The process: which apiservers and resources are watched, and for how long. It connects the other rooms.

It survives every failure of an apiserver. When an address or a definition disappears, its streams end.
"""
