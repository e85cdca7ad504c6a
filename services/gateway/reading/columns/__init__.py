"""A columnar in-memory copy of the narrow columns of all jobs, for queries that no index of the database serves."""

from services.gateway.reading.columns.access import ColumnNumbers, Columns

__all__ = ["ColumnNumbers", "Columns"]
