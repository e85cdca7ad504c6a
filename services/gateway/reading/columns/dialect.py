"""Compiles SQLAlchemy statements for DuckDB, whose SQL is close to PostgreSQL. Covers only job queries."""

from typing import Any

from sqlalchemy import BinaryExpression, ClauseElement
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

from shared.database import functions as f
from shared.database.dialects.dialect import write_as


class _Compiler(PGCompiler):
    def visit_floordiv_binary(self, binary: BinaryExpression[Any], operator: Any, **options: Any) -> str:
        """DuckDB's ``/`` divides integers to fractions."""
        return f"{self.process(binary.left, **options)} // {self.process(binary.right, **options)}"


_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
# A text of ASCII only, which is the common case, is lowered by the faster function.
DUCKDB_LOWER = f"CASE WHEN strlen({{0}}) = length({{0}}) THEN lower({{0}}) ELSE translate({{0}}, '{_UPPER}', '{_LOWER}') END"

write_as(
    "duckdb",
    {
        f.bytewise: "{0}",
        f.ascii_lower: DUCKDB_LOWER,
        f.holds: "contains({0}, {1})",
        f.begins: "starts_with({0}, {1})",
        f.ends: "ends_with({0}, {1})",
        f.has_word: "list_has_any(string_split({0}, ' '), {1})",
        f.total: "CAST(sum({0}) AS BIGINT)",  # a 128-bit sum takes ten times as long to convert to Python
        f.whole: "CAST(floor({0}) AS BIGINT)",
    },
)


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
