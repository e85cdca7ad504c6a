"""The embedded site: broker, database, archive and all services in one command."""
