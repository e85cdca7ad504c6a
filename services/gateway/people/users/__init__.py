"""The table of users: what may be changed, and the store."""
