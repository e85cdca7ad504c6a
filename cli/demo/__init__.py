"""A simulated site: schedulers of two clusters that feed a real jobtide through NATS, as adapters do."""
