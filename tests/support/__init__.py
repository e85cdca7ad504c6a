"""Real servers and processes for tests, builders, and waiting."""
