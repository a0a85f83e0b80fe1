"""Tasks that run many attempts (0017_bundles.sql)."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the frozen statements one by one."""
    text = Path(__file__).with_suffix(".sql").read_text()
    _, _, statements = text.partition("\n")
    connection = op.get_bind()
    for statement in statements.split("\n--\n"):
        connection.exec_driver_sql(statement)
