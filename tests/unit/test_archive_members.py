"""Taking JSON objects apart gives what decoding them whole gives."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.archive.members import members

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(['"', "\\", '\\"', "{", "]}", ":", "a,b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def decoded(text: bytes, wanted: list[str] | None = None) -> dict[str, Any]:
    keys = None if wanted is None else {json.dumps(name, ensure_ascii=False)[1:-1].encode() for name in wanted}
    return {json.loads(b'"%b"' % name): json.loads(value) for name, value in members(text, keys)}


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([None, 2]), st.data())
def test_as_decoded_whole(document: dict[str, Any], indent: int | None, data: st.DataObject) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    assert decoded(text) == document
    wanted = data.draw(st.lists(st.sampled_from([*document, "nope"]), unique=True))
    assert decoded(text, wanted) == {name: document[name] for name in document if name in wanted}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"a"', b'{"a', b"{}x", b'{"a\\"'])
def test_no_object_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(text)


@pytest.mark.parametrize("text", [b'{"a":1', b'{"a":1} x', b'{"a":1}}', b'{"a":1 2,"b":3}', b'{"a":'])
def test_a_damaged_value_is_an_error_of_its_decoder(text: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(text)
