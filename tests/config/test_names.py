import string
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.config import ListenAddress, ResourceName

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
GROUPS = st.lists(LABELS, max_size=4).map(".".join)
VERSIONS = st.builds(
    lambda major, stage, minor: f"v{major}{stage}{minor if stage else ''}",
    st.integers(1, 30),
    st.sampled_from(["", "alpha", "beta"]),
    st.integers(1, 30),
)


def looks_like_a_version(label: str) -> bool:
    numbers = label.removeprefix("v").replace("alpha", " ").replace("beta", " ").split(" ")
    return label.startswith("v") and len(numbers) <= 2 and all(n.isdigit() and n[0] != "0" for n in numbers)


@given(LABELS, GROUPS, st.none() | VERSIONS)
def test_a_resource_name_survives_being_written_down(plural: str, group: str, version: str | None) -> None:
    assume(version is not None or not looks_like_a_version(group.partition(".")[0]))
    name = ResourceName(plural, group, version)
    assert ResourceName.parse(str(name)) == name


@given(st.text(alphabet=string.ascii_letters + string.digits + ".-/ v*", max_size=30))
def test_what_parses_is_written_down_as_it_was(text: str) -> None:
    with suppress(ValueError):
        assert str(ResourceName.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pods", ResourceName("pods")),
        ("pods.v1", ResourceName("pods", "", "v1")),
        ("deployments.apps", ResourceName("deployments", "apps")),
        ("deployments.v1.apps", ResourceName("deployments", "apps", "v1")),
        ("foos.v1beta1.example.com", ResourceName("foos", "example.com", "v1beta1")),
        ("foos.v2alpha3.example.com", ResourceName("foos", "example.com", "v2alpha3")),
        ("foos.v1x.example.com", ResourceName("foos", "v1x.example.com")),
        ("foos.v0.example.com", ResourceName("foos", "v0.example.com")),
        ("foos.v1beta.example.com", ResourceName("foos", "v1beta.example.com")),
        ("foos.vcluster.com", ResourceName("foos", "vcluster.com")),
    ],
)
def test_the_middle_part_is_a_version_only_if_it_looks_like_one(text: str, name: ResourceName) -> None:
    assert ResourceName.parse(text) == name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9985", ListenAddress("", 9985)),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0)),
        ("localhost:65535", ListenAddress("localhost", 65535)),
        ("[::1]:9985", ListenAddress("::1", 9985)),
        ("[::]:9985", ListenAddress("::", 9985)),
    ],
)
def test_a_listen_address_survives_being_written_down(text: str, address: ListenAddress) -> None:
    assert ListenAddress.parse(text) == address
    assert str(address) == text
