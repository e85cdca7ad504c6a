"""A columnar in-memory copy of the narrow columns of all jobs, for queries that no index of the database serves."""

from services.gateway.reading.columns.columns import Columns

__all__ = ["Columns"]
