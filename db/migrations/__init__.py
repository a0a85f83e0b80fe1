"""Alembic migrations of the store, run by db/migrate.py."""
