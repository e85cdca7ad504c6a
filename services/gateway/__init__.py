"""The gateway: REST, GraphQL and pages over HTTP. Reads the database and the archive, writes only by publishing events.

Rooms, each importing only those before it: ``frame`` (HTTP and the pages served), ``people`` (users, sign-in, rights), ``reading`` (filters
to SQL, rows), then ``writing`` (events and their outcome), ``metrics`` (metric data), ``live`` (changes), on top ``rest`` and ``graphql``.
"""
