-- Frozen: what version 0002 adds to 0001. Statements are separated by a line that holds only '--'.
ALTER TABLE execution ADD COLUMN last VARCHAR
--
ALTER TABLE result ADD COLUMN rule INTEGER DEFAULT '0' NOT NULL
--
ALTER TABLE result ADD COLUMN original VARCHAR
--
CREATE INDEX result_unchecked ON result (job_id) WHERE rule = 0
--
DROP TRIGGER result_fixed
--
CREATE TRIGGER result_fixed BEFORE UPDATE OF job_id, config_id, execution_id, generation, architecture, accepted_at
        ON result BEGIN SELECT RAISE(ABORT, 'a result never changes what it is of'); END
--
CREATE TRIGGER result_corrected BEFORE UPDATE OF metrics, test_accuracy, original ON result
        WHEN (NEW.metrics IS NOT OLD.metrics OR NEW.test_accuracy IS NOT OLD.test_accuracy
            OR NEW.original IS NOT OLD.original)
            AND NOT (NEW.metrics IS NOT OLD.metrics AND (NEW.original IS coalesce(OLD.original, OLD.metrics)
                OR (NEW.original IS NULL AND NEW.metrics IS OLD.original)))
        BEGIN SELECT RAISE(ABORT, 'a result never changes but by a correction, which keeps what was accepted'); END
--
UPDATE result SET rule = 1 WHERE execution_id IS NULL
