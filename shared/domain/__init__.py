"""The domain without I/O: payloads, events, states, clusters, reason codes."""
