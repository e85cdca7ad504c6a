"""GraphQL: ``transport`` and ``websocket`` accept requests, ``documents`` and ``execution`` run them, ``fields`` resolves.

``shape`` writes the answer in the form of the selection.
"""
