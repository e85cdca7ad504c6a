"""Takes over a site that runs cc-backend: reads its configuration, database and archive, and publishes what is in them as events."""
