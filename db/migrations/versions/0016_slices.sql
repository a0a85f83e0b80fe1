-- Frozen: what version 0016 adds to 0015. Statements are separated by a line that holds only '--'.
ALTER TABLE submission ADD COLUMN pieces INTEGER DEFAULT '0' NOT NULL
