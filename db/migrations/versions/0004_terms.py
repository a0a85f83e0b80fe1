"""What an attempt was sent with, and what was changed of it in the queue (0004_terms.sql)."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the frozen statements one by one."""
    text = Path(__file__).with_suffix(".sql").read_text()
    _, _, statements = text.partition("\n")
    connection = op.get_bind()
    for statement in statements.split("\n--\n"):
        connection.exec_driver_sql(statement)
