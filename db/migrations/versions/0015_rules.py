"""Rules that say when studies have enough seeds (0015_rules.sql)."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the frozen statements one by one."""
    text = Path(__file__).with_suffix(".sql").read_text()
    _, _, statements = text.partition("\n")
    connection = op.get_bind()
    for statement in statements.split("\n--\n"):
        connection.exec_driver_sql(statement)
