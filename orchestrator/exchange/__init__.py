"""How do results get out of a store and into another one? Import and export."""
