"""Is the store sound, and how is it kept so? Doctor, clean, rebuild."""
