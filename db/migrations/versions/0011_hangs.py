"""The cause `hang`, and how often executions gave a sign of life (0011_hangs.sql).

Wider checks change nothing of what is stored, so they are written into the schema itself: a table of a million rows is
not copied for a word (SQLite, "Making Other Kinds Of Table Schema Changes").
"""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Widen the checks of causes, then run the frozen statements one by one."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, '''cancelled'', ''lost'')', '''cancelled'', ''lost'', ''hang'')') "
        "WHERE type = 'table' AND name IN ('job', 'attempt', 'execution')"
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    text = Path(__file__).with_suffix(".sql").read_text()
    _, _, statements = text.partition("\n")
    for statement in statements.split("\n--\n"):
        connection.exec_driver_sql(statement)
