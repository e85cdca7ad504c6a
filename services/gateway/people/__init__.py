"""The caller of a request: users, roles, sign-in, sessions and tokens."""
