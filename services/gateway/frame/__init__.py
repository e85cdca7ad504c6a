"""HTTP itself: the layers around every request, routes and their description, bodies and answers; ``pages`` has the pages for people."""
