"""The store: schema, migrations and every query. SQL lives only here."""
