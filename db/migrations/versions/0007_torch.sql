-- Frozen: what version 0007 adds to 0006. Statements are separated by a line that holds only '--'.
ALTER TABLE execution ADD COLUMN torch VARCHAR
