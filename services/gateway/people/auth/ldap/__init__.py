"""Sign-in through a directory, and the import of its users."""
