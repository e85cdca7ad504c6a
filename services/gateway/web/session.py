"""The data about user and site that a page contains before its first request."""

from importlib.metadata import version
from typing import Any

from pydantic import Field

from services.gateway.call import Gateway
from services.gateway.frame.models import Answer
from services.gateway.frame.settings import GatewaySettings
from services.gateway.people.identity import AuthSource, User
from services.gateway.web.titles import rule_titles
from shared.domain.clusters import Cluster
from shared.errors import Unavailable

NOTICE = "notice"  # its name in the table of site texts

Json = dict[str, Any]


class SessionUser(Answer):
    username: str
    name: str
    roles: list[str]
    projects: list[str] = Field(description="The projects that a manager supervises.")
    scopes: list[str] = Field(description="The scopes of tags that the user may read.")
    all_jobs: bool = Field(description="Sees the jobs of everybody.")
    nodes: bool = Field(description="Sees nodes and their states.")
    password: bool = Field(description="Signs in by a local password, which can be changed.")


class SessionSubCluster(Answer):
    name: str
    nodes: int = Field(description="0: not limited by the definition.")
    processor: str
    cores: int = Field(description="Of one node.")
    accelerators: int = Field(description="Of one node.")


class SessionCluster(Answer):
    name: str
    sub_clusters: list[SessionSubCluster]


class SessionObject(Answer):
    user: SessionUser
    settings: dict[str, Any] = Field(description="The user's stored settings.")
    notice: str
    version: str
    site: str = Field(description="The name of the site.")
    time_zone: str = Field(description="That of the site, an IANA name; empty: none is set.")
    provider: bool = Field(description="People can sign in at the site's OpenID provider.")
    playground: bool
    rules: dict[str, str] = Field(description="The titles of the rules of advice, by tag.")
    clusters: list[SessionCluster]


async def session_object(gateway: Gateway, user: User) -> Json:
    """Raises Unavailable."""
    return {
        "user": {
            "username": user.name,
            "name": user.real_name,
            "roles": sorted(user.roles),
            "projects": sorted(user.projects),
            "scopes": user.readable_scopes,
            "allJobs": user.sees_all_jobs,
            "nodes": user.sees_nodes,
            "password": user.source is AuthSource.LOCAL,
        },
        "settings": await gateway.users.settings_of(user.name),
        "notice": await gateway.users.site_text(NOTICE),
        "version": version("jobtide"),
        "site": gateway.settings.site_name,
        "timeZone": gateway.settings.time_zone,
        "provider": gateway.auth.oidc is not None,
        "playground": gateway.has_playground,
        "rules": await rule_titles(gateway.link),
        "clusters": _clusters(gateway),
    }


def object_without_session(settings: GatewaySettings) -> Json:
    """For a page that anybody may open: the site, and a user without a name or rights."""
    return {
        "user": {
            "username": "",
            "name": "",
            "roles": [],
            "projects": [],
            "scopes": [],
            "allJobs": False,
            "nodes": False,
            "password": False,
        },
        "settings": {},
        "notice": "",
        "version": "",
        "site": settings.site_name,
        "timeZone": settings.time_zone,
        "provider": False,
        "playground": False,
        "rules": {},
        "clusters": [],
        "cursor": "",
    }


def _clusters(gateway: Gateway) -> list[Json]:
    """None while the broker has not been reached since the start: pages do without."""
    try:
        known = gateway.link.clusters
    except Unavailable:
        return []
    return [_cluster(known[name]) for name in sorted(known)]


def _cluster(cluster: Cluster) -> Json:
    return {
        "name": cluster.name,
        "subClusters": [
            {
                "name": sub.name,
                "nodes": sub.number_of_nodes,
                "processor": sub.processor_type,
                "cores": sub.sockets_per_node * sub.cores_per_socket,
                "accelerators": len(sub.topology.accelerators or ()),
            }
            for sub in cluster.sub_clusters
        ],
    }
