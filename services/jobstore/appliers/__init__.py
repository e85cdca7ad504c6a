"""Appliers write events to tables, for the projection and for a rebuild: one applier for each stream."""

from services.jobstore.appliers.events import EventsApplier
from services.jobstore.appliers.nodes import NodesApplier
from services.jobstore.appliers.rejections import RejectionsApplier
from services.jobstore.projection import Applier
from services.jobstore.settings import Settings
from shared.broker.streams import EVENTS, NODES, REJECTIONS
from shared.database.tables import ProjectionTables


def appliers(settings: Settings, projected: ProjectionTables) -> dict[str, Applier]:
    """The appliers by stream of ``shared.broker.streams.LOGS``."""
    history_s, unchanged_s = settings.jobstore.node_history_days * 86_400, settings.jobstore.node_unchanged_s
    return {
        EVENTS: EventsApplier(projected, settings.jobstore.limits),
        NODES: NodesApplier(projected, history_s=history_s, unchanged_s=unchanged_s),
        REJECTIONS: RejectionsApplier(projected),
    }
