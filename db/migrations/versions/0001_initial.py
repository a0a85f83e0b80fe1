"""The first schema, with its rules (0001_initial.sql)."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the frozen statements one by one."""
    text = Path(__file__).with_suffix(".sql").read_text()
    _, _, statements = text.partition("\n")
    connection = op.get_bind()
    for statement in statements.split("\n--\n"):
        connection.exec_driver_sql(statement)
