"""Types of columns, and what tables say about indexes."""

from sqlalchemy import Text

ALL_ROWS = "all rows"  # key of ``Index.info``: the columns where an engine has no partial indexes


class Name(Text):
    """A short text that can be part of a key. Only some engines need its bound."""

    characters = 255


class MessageId(Name):
    characters = 500
