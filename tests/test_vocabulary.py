"""The enumerations agree with each other and with the families that carry them."""

from typing import get_args

from exporter import vocabulary
from exporter.metrics.families import FAMILIES


def test_what_an_apiserver_may_refuse_with_ends_watches_and_starts() -> None:
    refusals = set(get_args(vocabulary.Refusal))
    assert refusals <= set(vocabulary.END_REASONS)
    assert refusals <= set(vocabulary.START_REASONS)


def test_every_list_of_values_of_a_family_is_one_of_the_enumerations() -> None:
    known = {id(value) for name, value in vars(vocabulary).items() if name.isupper()}
    seeds = {label: values for family in FAMILIES for label, values in family.seeds.items() if label != "what"}
    assert {label for label, values in seeds.items() if id(values) not in known} == set()
