"""Compiled selections return the same as graphql-core itself."""

from operator import itemgetter
from typing import Any

import orjson
import pytest
from graphql import GraphQLResolveInfo, build_schema, execute_sync, parse

from services.gateway.graphql.shape import MANY, Batch, Batches, Compiler, Failure, Tables, absent_as_none, shaped

SCHEMA = build_schema("""
type Query { books(n: Int): [Book!]! one: Book plain: Int }
type Book { title: String! pages: Int author: Person tags: [Tag!]! notes: [String!] }
type Person { name: String! born: Int }
type Tag { name: String! }
""")
BOOKS: list[dict[str, Any]] = [
    {"title": "A", "pages": 1, "author": {"name": "X", "born": None}, "tags": [{"name": "t"}, {"name": "u"}], "notes": ["n"]},
    {"title": "B", "pages": None, "author": None, "tags": [], "notes": None},
]
TABLES = {
    "Book": {name: itemgetter(name) for name in ("title", "pages", "author", "tags", "notes")},
    "Person": {name: itemgetter(name) for name in ("name", "born")},
    "Tag": {"name": itemgetter("name")},
}


def _shaped(query: str, books: Any = BOOKS, **variables: Any) -> Any:
    """The response data with shaped root fields."""
    found: dict[str, Any] = {}

    def resolve(_: Any, info: GraphQLResolveInfo[Any], **__: Any) -> Any:
        shape = Compiler(TABLES).shape_of(info)
        value = shaped(shape, books if info.field_name == "books" else books[0], info.path.as_list())
        found[str(info.path.key)] = value and value.value
        return books if info.field_name == "books" else books[0]

    execute_sync(
        SCHEMA,
        parse(query),
        {"books": lambda info, **a: resolve(None, info), "one": lambda info: resolve(None, info)},
        variable_values=variables,
    )
    return found


@pytest.mark.parametrize(
    "query",
    [
        "{ books { title pages author { name born } tags { name } notes } one { title } }",
        "{ x: books { a: title b: title author { n: name } author { born } } }",
        (
            "{ books { ...F ... on Book { pages } ... { notes } __typename } } fragment F on Book { title author { ...P } }"
            " fragment P on Person { name }"
        ),
        "query($a: Boolean = true, $b: Boolean = false) { books { title @skip(if: $a) pages @include(if: $b) t: title @include(if: $a) } }",
        "{ books { tags { name } ...F } } fragment F on Book { tags { __typename } title }",
    ],
)
def test_shapes_give_the_same_answers_as_the_executor(query: str) -> None:
    expected = execute_sync(SCHEMA, parse(query), {"books": BOOKS, "one": BOOKS[0]}).data
    assert _shaped(query) == expected


def test_long_lists_serialise_to_the_same_items() -> None:
    query = "{ books { title author { name } tags { name } } one { tags { name } } }"
    books = [{**BOOKS[number % 2], "title": f"{number}"} for number in range(2 * MANY + 1)]
    books[0] = {**BOOKS[0], "tags": [{"name": f"{number}"} for number in range(MANY + 1)]}
    found = _shaped(query, books)
    assert len(found["books"]) == 3
    assert len(found["one"]["tags"]) == 2
    assert orjson.loads(orjson.dumps(found)) == execute_sync(SCHEMA, parse(query), {"books": books, "one": books[0]}).data


TEXTS: Tables = {
    "Book": {
        "title": lambda books: [orjson.dumps(book["title"]) for book in books],
        "pages": lambda books: [orjson.dumps(book["pages"]) for book in books],
        "tags": lambda books: Batches(
            len(books), [(Batch(tag, len(places)), places) for tag, places in (("t%", [0, 2]), ("u", [0]), ("v", [2]))]
        ),
    },
    "Tag": {"name": lambda tag: tag},
}


@pytest.mark.parametrize(
    "query",
    [
        "{ books { title pages tags { name } } }",
        "{ books { __typename b: pages ...F t: tags { __typename n: name } } } fragment F on Book { a: title title tags { x: name } }",
        "{ books { __typename } }",
        "{ books { tags { __typename } } }",
    ],
)
def test_a_batch_is_written_as_a_list_of_its_items_is(query: str) -> None:
    books = [
        {"title": "A%b", "pages": 1, "tags": [{"name": "t%"}, {"name": "u"}]},
        {"title": 'B"', "pages": None, "tags": []},
        {"title": "C", "pages": 3, "tags": [{"name": "t%"}, {"name": "v"}]},
    ]
    found = shaped(Compiler(TEXTS).shape_of(_info_of(query)), Batch(books, len(books)), ["books"])
    assert found is not None
    assert orjson.dumps(found.value) == orjson.dumps((execute_sync(SCHEMA, parse(query), {"books": books}).data or {})["books"])
    nothing = shaped(Compiler(TEXTS).shape_of(_info_of(query)), Batch([], 0), ["books"])
    assert nothing is not None
    assert nothing.value == []


def test_skip_and_include_follow_the_variables_of_each_request() -> None:
    query = "query($a: Boolean!) { books { title @skip(if: $a) pages } }"
    assert list(_shaped(query, a=True)["books"][0]) == ["pages"]
    assert list(_shaped(query, a=False)["books"][0]) == ["title", "pages"]


def _info_of(query: str) -> Any:
    kept: list[Any] = []

    def resolve(info: GraphQLResolveInfo[Any], **_: Any) -> Any:
        kept.append(info)
        return []

    execute_sync(SCHEMA, parse(query), {"books": resolve})
    return kept[0]


def test_selected_fields_are_found_by_name_behind_aliases() -> None:
    shape = Compiler(TABLES).shape_of(_info_of("{ books { a: title x: author { name } y: author { born } } }"))
    assert shape is not None
    assert shape.names == {"title", "author"}
    assert shape.at("author") == {"name", "born"}
    assert shape.selects("author.born")
    assert not shape.selects("author.title")
    assert not shape.selects("tags")


def test_each_failure_becomes_null_and_an_error_with_its_path() -> None:
    info = _info_of("{ books { title who: author { name } } }")
    books: list[Any] = [BOOKS[0], {**BOOKS[0], "author": Failure("not for you", "FORBIDDEN")}]
    found = shaped(Compiler(TABLES, frozenset({"Book.author"})).shape_of(info), books, ["books"])
    assert found is not None
    assert found.value == [{"title": "A", "who": {"name": "X"}}, {"title": "A", "who": None}]
    assert [(error.message, error.path, error.extensions) for error in found.failures] == [
        ("not for you", ["books", 1, "who"], {"code": "FORBIDDEN"})
    ]


def test_failures_in_long_lists_are_reported_too() -> None:
    info = _info_of("{ books { author { name } } }")
    books: list[Any] = [*([BOOKS[0]] * MANY), {**BOOKS[0], "author": Failure("not for you", "FORBIDDEN")}]
    found = shaped(Compiler(TABLES, frozenset({"Book.author"})).shape_of(info), books, ["books"])
    assert found is not None
    assert found.value[MANY] == {"author": None}
    assert [error.path for error in found.failures] == [["books", MANY, "author"]]


def test_absent_and_empty_values_become_null() -> None:
    tables: Tables = {**TABLES, "Book": {**TABLES["Book"], "notes": absent_as_none("notes")}}
    shape = Compiler(tables).shape_of(_info_of("{ books { notes } }"))
    found = shaped(shape, [{"notes": ["n"]}, {"notes": []}, {}], ["books"])
    assert found is not None
    assert found.value == [{"notes": ["n"]}, {"notes": None}, {"notes": None}]
