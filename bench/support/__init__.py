"""What rows stand on: sites, servers, seeded databases, watching."""
