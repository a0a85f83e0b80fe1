-- Frozen: what version 0004 adds to 0003. Statements are separated by a line that holds only '--'.
ALTER TABLE attempt ADD COLUMN launch_id INTEGER
--
ALTER TABLE attempt ADD COLUMN recall INTEGER DEFAULT '0' NOT NULL
--
ALTER TABLE attempt ADD COLUMN nice INTEGER DEFAULT '0' NOT NULL
--
ALTER TABLE attempt ADD COLUMN altered VARCHAR
--
CREATE TRIGGER attempt_altered BEFORE UPDATE OF launch_id, recall, nice, altered ON attempt
        WHEN OLD.state = 'ended'
        BEGIN SELECT RAISE(ABORT, 'what has ended is not changed in a queue'); END
