"""Changes of tables that may be repeated: MariaDB commits each of them, so that a migration which breaks off has made some."""

from typing import Any

from alembic.ddl.mysql import MariaDBImpl
from sqlalchemy import Column, Index, Table


class RepeatableChanges(MariaDBImpl):
    """Alembic takes it for MariaDB in place of its own, since it was declared later."""

    __dialect__ = "mariadb"

    def add_column(self, table_name: str, column: Column[Any], **options: Any) -> None:
        super().add_column(table_name, column, **options | {"if_not_exists": True})

    def create_table(self, table: Table, **options: Any) -> None:
        super().create_table(table, **options | {"if_not_exists": True})

    def create_index(self, index: Index, **options: Any) -> None:
        super().create_index(index, **options | {"if_not_exists": True})
