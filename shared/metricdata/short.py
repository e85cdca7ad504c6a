"""Samples as short JSON text, for plots."""

import numpy as np
import orjson

from shared.metricdata.arithmetic import significant
from shared.metricdata.model import FloatArray


def short_text(values: FloatArray) -> bytes:
    """A list of numbers with four significant digits. Missing and infinite values are null."""
    text = orjson.dumps(np.ascontiguousarray(significant(values)), option=orjson.OPT_SERIALIZE_NUMPY)
    return text.replace(b".0,", b",").replace(b".0]", b"]")
