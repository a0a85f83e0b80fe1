"""How does a store of an earlier version become one of this? Alembic migrations, run by db/migrate.py."""
