"""The page at /, rendered by the server: are my watches late, which, where, since when, why, and can I believe this?"""
