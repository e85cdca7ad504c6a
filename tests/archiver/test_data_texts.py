"""Splitting a data file into the texts of its metrics is equivalent to decoding it as a whole."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.archive import ArchiveError, read_data_texts

NAMES = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(['"', "\\", '\\"', "{", "]}", ":", "a,b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([None, 2]), st.booleans(), st.data())
def test_the_texts_of_metrics_decode_to_the_whole_document(
    tmp_path: Path, document: dict[str, Any], indent: int | None, is_packed: bool, data: st.DataObject
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    file = tmp_path / ("data.json.gz" if is_packed else "data.json")
    file.write_bytes(gzip.compress(text) if is_packed else text)
    assert {name: json.loads(metric) for name, metric in read_data_texts(file).items()} == document
    metrics = data.draw(st.lists(st.sampled_from([*document, "nope"]), unique=True))
    found = {name: json.loads(metric) for name, metric in read_data_texts(file, metrics).items()}
    assert found == {name: document[name] for name in document if name in metrics}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'"a"', b'{"a', b"{}x", b'{"a\\"', b'{"a":1', b'{"a":1} x', b'{"a":1}}', b'{"a":1 2,"b":3}', b'{"a":']
)
def test_a_file_that_is_not_a_json_object_is_an_error_that_names_it(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(text)
    with pytest.raises(ArchiveError, match=r"data\.json: not JSON"):
        read_data_texts(file)


def test_a_file_of_null_has_no_metrics(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(b" null\n")
    assert read_data_texts(file) == {}
