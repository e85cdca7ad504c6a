"""The database: tables, connections, statements that both engines plan alike, migrations, and the progress of the projection."""
