"""What a person drives: commands, planning, supervision, status views, tables, statistics, figures and the report."""
