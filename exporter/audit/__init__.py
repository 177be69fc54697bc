"""Who lists, relists, watches from 0 and writes too much, by an apiserver's audit log. Pure: bytes in, one report out.

Bytes become events (`reading`, `decoding`), an event's request is classified (`requests`), events are counted for each
user, user agent and resource (`counting`), and what follows only from their sequence is inferred: relists, broken
streams and polls (`sequences`), and clients that write one object in turns (`writers`). `report` and `advice` say it.

Instants are float seconds since the epoch, by the clocks of the apiservers. Whoever writes to an apiserver's log can
forge all of it; what clients choose themselves (user agents, selectors) is cut, and everything kept is bounded.
"""
