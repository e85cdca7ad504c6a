"""A copy of the narrow columns of all jobs, in memory and by column: what no index of the database serves is asked here."""

from services.gateway.reading.columns.columns import Columns

__all__ = ["Columns"]
