"""The HTTP server of every service: what surrounds the applications, on the level of connections."""
