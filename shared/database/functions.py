"""SQL functions that each engine writes differently. What an engine writes is in its module in ``shared.database.dialects``."""

from sqlalchemy import BigInteger, Boolean, Double, Integer, Text
from sqlalchemy.sql.functions import GenericFunction


class bytewise(GenericFunction[str]):  # noqa: N801
    """A text that is ordered by its bytes, whatever locale the database was created with."""

    type = Text()
    inherit_cache = True


class is_one_of(GenericFunction[int]):  # noqa: N801
    """The first is one of a ``ListValue``."""

    type = Integer()  # a boolean would be compared with 1 on SQLite, which then does not use an index
    inherit_cache = True


class place_of(GenericFunction[int]):  # noqa: N801
    """The place of the second text in the first one, counted from 1; 0 if it is not there."""

    type = Integer()
    inherit_cache = True


class characters(GenericFunction[int]):  # noqa: N801
    """The length of a text in characters."""

    type = Integer()
    inherit_cache = True


class ascii_lower(GenericFunction[str]):  # noqa: N801
    """A to Z in lower case; other letters are unchanged."""

    type = Text()
    inherit_cache = True


class holds(GenericFunction[bool]):  # noqa: N801
    """The first text contains the second, compared bytewise."""

    type = Boolean()
    inherit_cache = True


class begins(GenericFunction[bool]):  # noqa: N801
    type = Boolean()
    inherit_cache = True


class ends(GenericFunction[bool]):  # noqa: N801
    """The first text ends with the second, which is not empty."""

    type = Boolean()
    inherit_cache = True


class has_word(GenericFunction[bool]):  # noqa: N801
    """A space-delimited text has one of the words of a ``WordList``. For long lists."""

    type = Boolean()
    inherit_cache = True


class footprint_value(GenericFunction[float]):  # noqa: N801
    """The number under a key of a text that is a JSON object."""

    type = Double()
    inherit_cache = True


class whole(GenericFunction[int]):  # noqa: N801
    """Floor of a non-negative number."""

    type = BigInteger()
    inherit_cache = True


class total(GenericFunction[int]):  # noqa: N801
    """The sum of integers, as an integer."""

    type = BigInteger()
    inherit_cache = True


class csv_line(GenericFunction[str]):  # noqa: N801
    """The columns of a row as a line: all texts in quotes, numbers with full precision, NULL as ``\\N`` without quotes."""

    type = Text()
    inherit_cache = True
