-- Frozen: what version 0008 adds to 0007. Statements are separated by a line that holds only '--'.
ALTER TABLE study ADD COLUMN layouts VARCHAR
