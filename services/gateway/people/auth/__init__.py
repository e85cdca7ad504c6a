"""Sign-in, sessions, tokens, and the guards of routes."""
