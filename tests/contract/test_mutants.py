"""The catalogue of mutations fits the code: what `make mutants` would call stale fails here, at once."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTATIONS
from tests.mutants.mutation import Mutation

ROOT = Path(__file__).resolve().parents[2]
_RULE = re.compile(r"(?:INTERFACE |COMMERCE B)?\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)? [a-zA-Z0-9]")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_a_mutation_changes_what_is_there_and_is_noticed_by_tests_that_are_there(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.apply(text) != text
    assert mutation.tests
    assert mutation.missing_tests(ROOT) == []
    assert _RULE.match(mutation.rule), mutation.rule


def test_there_are_many_and_no_two_of_one_name() -> None:
    assert len(MUTATIONS) >= 120
    assert [
        name for name, times in Counter(mutation.name for mutation in MUTATIONS).items() if times > 1
    ] == []
