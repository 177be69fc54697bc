"""What is said of a URL never holds its password, whatever that is made of."""

import string

from hypothesis import given
from hypothesis import strategies as st

from exporter.wording.quoting import printable, quoted

SCHEMES = st.sampled_from(["http://", "https://", "socks5://", "HTTP://"])
HOSTS = st.sampled_from(["127.0.0.1:3128", "proxy.example.com", "[::1]:1", "[bad", "", ":99999"])
NAMES = st.text(string.ascii_letters)
IN_URLS = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:%@", min_size=1)
"""What may stand before the host of a URL; whoever forgets to encode an @ is no worse off."""


@given(st.just("") | SCHEMES | st.just("//"), NAMES, st.text(), HOSTS)
def test_a_quoted_url_has_no_user(scheme: str, user: str, password: str, host: str) -> None:
    assert quoted(f"{scheme}{user}:{password}@{host}") == f'"{scheme}...@{host}"'


@given(SCHEMES, NAMES, IN_URLS, HOSTS)
def test_a_url_in_a_sentence_has_none_either(scheme: str, user: str, password: str, host: str) -> None:
    said = printable(f"no connection to {scheme}{user}:{password}@{host}: refused")
    assert said == f"no connection to {scheme}...@{host}: refused"
