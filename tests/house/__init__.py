"""What the code says of itself: its rooms, its words, its documents. `make docs` writes it down; tests check it."""
