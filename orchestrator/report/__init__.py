"""The report page: one self-contained HTML file with the tables, the figures and every job with its attempts."""
