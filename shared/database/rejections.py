"""What a rejection tells of its cluster, as SQL."""

from sqlalchemy import ColumnElement, and_, case, func

from shared.database.functions import place_of
from shared.database.tables import tables

_KEY = '"cluster":'


def cluster_of_rejection() -> ColumnElement[str | None]:
    """The cluster of a rejection. A payload that was refused before its cluster was known has the name in its excerpt only."""
    rejection = tables.rejection.c
    key = place_of(rejection.excerpt, _KEY)
    value = func.ltrim(func.substr(rejection.excerpt, key + len(_KEY)))
    name = func.substr(value, 2)
    end = place_of(name, '"')
    is_named = and_(key > 0, func.substr(value, 1, 1) == '"', end > 1)
    return func.coalesce(rejection.cluster, case((is_named, func.substr(name, 1, end - 1))))


def is_of_cluster(name: str) -> ColumnElement[bool]:
    """The empty name stands for rejections that name no cluster."""
    return cluster_of_rejection() == name if name else cluster_of_rejection().is_(None)
