"""Every decoder on arbitrary bytes, on JSON of any shape and on broken copies of what it takes."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS, SEEDS, Decoder, attempt

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({name for _, seed in SEEDS if seed[:1] == b"{" for name in orjson.loads(seed)})
OBJECTS = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), JSON, max_size=6)
TEXTS = st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass"))


@st.composite
def broken(draw: st.DrawFn, seed: bytes) -> bytes:
    """A copy with one span replaced."""
    start = draw(st.integers(0, len(seed)))
    end = draw(st.integers(start, min(len(seed), start + 8)))
    return seed[:start] + draw(st.binary(max_size=8)) + seed[end:]


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=60)
@given(data=st.data())
def test_a_decoder_refuses_in_its_own_words_or_takes_it(name: str, data: st.DataObject) -> None:
    seeds = [broken(seed) for decoder, seed in SEEDS if decoder == name]
    encoded = (JSON | OBJECTS).map(lambda value: orjson.dumps(value, default=str))
    attempt(DECODERS[name], data.draw(st.one_of(st.binary(max_size=200), TEXTS, encoded, *seeds)))


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_each_seed_is_taken(name: str, seed: bytes) -> None:
    """What is refused at once leads a fuzzer nowhere."""
    DECODERS[name].run(seed)


def test_an_error_that_is_no_refusal_is_seen() -> None:
    def burst(_: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt(Decoder(burst, (ValueError,)), b"")
