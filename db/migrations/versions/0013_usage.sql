-- Frozen: what version 0013 adds to 0012. Statements are separated by a line that holds only '--'.
ALTER TABLE execution ADD COLUMN usage VARCHAR
