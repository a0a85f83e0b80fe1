-- Frozen: what version 0014 adds to 0013. Statements are separated by a line that holds only '--'.
ALTER TABLE execution ADD COLUMN usage VARCHAR
