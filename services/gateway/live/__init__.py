"""Changes of jobs and nodes for clients that follow them. The transports are in ``rest`` and ``graphql``."""
