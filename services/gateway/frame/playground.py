"""GraphiQL, a page to write queries, which loads nothing from elsewhere."""

from aiohttp import web

from services.gateway.frame.static import package_files

_PACKAGE = "graphene_django_graphiql_static"
_FILES = frozenset({"graphiql.min.css", "graphiql.min.js", "react.production.min.js", "react-dom.production.min.js", "graphql-ws.min.js"})
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>jobtide GraphiQL</title>
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
# The session's cookie goes along by itself; without one, a token is to be given under "Headers" as X-Auth-Token.
_START = """const fetcher = GraphiQL.createFetcher({
  url: "/query",
  subscriptionUrl: location.href.replace(/^http/, "ws").replace(/\\/playground.*$/, "/query"),
  headers: {"X-Requested-With": "GraphiQL"},
});
const query = `# Sign in, or give a token under "Headers": {"X-Auth-Token": "..."}
{
  jobs(page: {itemsPerPage: 10, page: 1}) {
    count
    items { id jobId user cluster state startTime duration numNodes }
  }
}
`;
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {fetcher: fetcher, defaultQuery: query, shouldPersistHeaders: false}),
);
"""


def add_to(app: web.Application) -> None:
    def text(body: str, content_type: str) -> web.Response:
        return web.Response(text=body, content_type=content_type)

    async def page(_: web.Request) -> web.StreamResponse:
        return text(_PAGE, "text/html")

    async def to_page(_: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/playground/")

    async def start(_: web.Request) -> web.StreamResponse:
        return text(_START, "text/javascript")

    async def style(_: web.Request) -> web.StreamResponse:
        return text(_STYLE, "text/css")

    app.router.add_get("/playground", to_page)
    app.router.add_get("/playground/", page)
    app.router.add_get("/playground/start.js", start)
    app.router.add_get("/playground/page.css", style)
    app.router.add_get("/playground/{name}", package_files(_PACKAGE, f"static/{_PACKAGE}", _FILES))
