"""How does a reviewer get a whole study in one file? Archives: made, read, checked, described."""
