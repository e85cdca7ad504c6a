"""The broker: connection, streams, publishing, reading with a cursor, and events as messages."""
