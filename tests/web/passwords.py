"""A password, and its hash."""

import bcrypt

PASSWORD = "correct horse battery staple"


HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
