-- Frozen: what version 0017 adds to 0016. Statements are separated by a line that holds only '--'.
ALTER TABLE submission ADD COLUMN bundle INTEGER DEFAULT '0' NOT NULL
