"""The web interface in a browser, over a site of real processes."""
