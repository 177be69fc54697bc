"""watchslo: how late are my watches, and whose fault is it?"""
