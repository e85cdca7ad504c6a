"""GraphiQL, a page to write and run GraphQL queries. It loads nothing from other hosts."""

from aiohttp import web

from services.gateway.frame.pages.package_files import add_page, package_files

_PACKAGE = "graphene_django_graphiql_static"
_FILES = frozenset({"graphiql.min.css", "graphiql.min.js", "react.production.min.js", "react-dom.production.min.js", "graphql-ws.min.js"})
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>jobtide GraphiQL</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="graphiql.min.css">
  <link rel="stylesheet" href="page.css">
</head>
<body>
  <div id="graphiql"></div>
  <script src="react.production.min.js"></script>
  <script src="react-dom.production.min.js"></script>
  <script src="graphql-ws.min.js"></script>
  <script src="graphiql.min.js"></script>
  <script src="start.js"></script>
</body>
</html>
"""
_STYLE = "html, body, #graphiql { height: 100%; margin: 0; }\n"
# The browser sends the session cookie. Without a session, users enter a token as X-Auth-Token under "Headers".
_START = """const fetcher = GraphiQL.createFetcher({
  url: new URL("../query", location.href).href,
  subscriptionUrl: new URL("../query", location.href).href.replace(/^http/, "ws"),
  headers: {"X-Requested-With": "GraphiQL"},
});
const query = `# Sign in, or enter a token under "Headers": {"X-Auth-Token": "..."}
{
  jobs(page: {itemsPerPage: 10, page: 1}) {
    count
    items { id jobId user cluster state startTime duration numNodes }
  }
}
`;
ReactDOM.render(
  React.createElement(GraphiQL, {fetcher: fetcher, defaultQuery: query, shouldPersistHeaders: false}),
  document.getElementById("graphiql"),
);
"""


def add_to(app: web.Application) -> None:
    texts = {"start.js": _START, "page.css": _STYLE}
    add_page(app, "/playground/", _PAGE, texts, package_files(_PACKAGE, f"static/{_PACKAGE}", _FILES))
