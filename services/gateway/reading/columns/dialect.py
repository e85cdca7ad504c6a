"""Compiles SQLAlchemy statements for DuckDB, whose SQL is close to PostgreSQL. Covers only job queries."""

from typing import Any

from sqlalchemy import BinaryExpression, ClauseElement
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect


class _Compiler(PGCompiler):
    def visit_floordiv_binary(self, binary: BinaryExpression[Any], operator: Any, **options: Any) -> str:
        """DuckDB's ``/`` divides integers to fractions."""
        return f"{self.process(binary.left, **options)} // {self.process(binary.right, **options)}"


class DuckDialect(PGDialect):
    name = "duckdb"
    statement_compiler = _Compiler
    supports_statement_cache = True

    def __init__(self) -> None:
        super().__init__(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


_DIALECT = DuckDialect()


def compiled(statement: ClauseElement) -> tuple[str, list[Any]]:
    """The text with placeholders, and the values."""
    result = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    values = result.params
    return str(result), [values[name] for name in getattr(result, "positiontup", None) or ()]
