"""One watch, from the request to stamped bytes and events, and how it goes on after every end.

It survives the end of connections, histories and credentials: for each there is a reason, and none is final.
"""
