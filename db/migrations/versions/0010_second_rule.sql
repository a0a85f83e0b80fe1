-- Frozen: what version 0010 adds to 0009. Statements are separated by a line that holds only '--'.
DROP INDEX result_unchecked
--
CREATE INDEX result_unchecked ON result (job_id) WHERE rule < 2
--
UPDATE result SET rule = 2 WHERE execution_id IS NULL
