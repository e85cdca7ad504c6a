"""``/userapi``: reads jobs with the token of a person. The handlers are those of ``/api``, with another guard."""

from dataclasses import replace

from services.gateway.call import Call
from services.gateway.frame.credentials import Guard
from services.gateway.frame.routes import Routes
from services.gateway.rest import jobs, metrics

READ_BY_PEOPLE = frozenset(
    {("GET", "/api/jobs/"), ("GET", "/api/jobs/{id}"), ("POST", "/api/jobs/{id}"), ("GET", "/api/jobs/metrics/{id}")}
)

routes = Routes[Call]("userapi", guard=Guard.USER_API)
for _route in [*jobs.routes.routes, *metrics.routes.routes]:
    if any((method, _route.path) in READ_BY_PEOPLE for method in _route.methods):
        routes.routes.append(
            replace(
                _route,
                path=_route.path.replace("/api/", "/userapi/", 1),
                group=routes.group,
                guard=routes.guard,
                name=f"userapi_{_route.name}",
            )
        )
