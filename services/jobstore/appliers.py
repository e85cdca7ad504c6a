"""The appliers of both streams, for the projection and for a rebuild."""

from services.jobstore.events import EventsApplier
from services.jobstore.nodes import NodesApplier
from services.jobstore.settings import Settings
from shared.database.tables import ProjectionTables


def events_applier(settings: Settings, projected: ProjectionTables) -> EventsApplier:
    return EventsApplier(projected, settings.jobstore.limits)


def nodes_applier(settings: Settings, projected: ProjectionTables) -> NodesApplier:
    return NodesApplier(projected, history_s=settings.jobstore.node_history_days * 86_400, unchanged_s=settings.jobstore.node_unchanged_s)
