"""The commands, one module per subject; each is imported when it is called."""
