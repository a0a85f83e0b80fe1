-- Frozen: what version 0006 adds to 0005. Statements are separated by a line that holds only '--'.
DROP TRIGGER job_transition
--
CREATE TRIGGER job_transition BEFORE UPDATE OF state ON job
        WHEN OLD.state IS NOT NEW.state AND (OLD.state, NEW.state) NOT IN (VALUES ('waiting', 'cancelled'), ('waiting', 'queued'), ('waiting', 'succeeded'), ('queued', 'cancelled'), ('queued', 'submitted'), ('queued', 'succeeded'), ('queued', 'waiting'), ('submitted', 'cancelled'), ('submitted', 'failed'), ('submitted', 'queued'), ('submitted', 'running'), ('submitted', 'succeeded'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'queued'), ('running', 'submitted'), ('running', 'succeeded'), ('succeeded', 'queued'), ('succeeded', 'waiting'), ('failed', 'queued'), ('failed', 'succeeded'), ('failed', 'waiting'), ('cancelled', 'queued'), ('cancelled', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'transition refused'); END
--
DROP TRIGGER result_accepted
--
CREATE TRIGGER result_accepted BEFORE INSERT ON result
        WHEN NOT EXISTS (
            SELECT 1 FROM job WHERE id = NEW.job_id AND generation = NEW.generation
            AND (state IN ('queued', 'submitted', 'running', 'failed') OR (state = 'waiting' AND attempts > 0)))
        BEGIN SELECT RAISE(ABORT, 'a result is of an open job and its current generation'); END
--
UPDATE job SET state = 'waiting' WHERE state = 'queued' AND EXISTS (SELECT 1 FROM job_dependency d
        JOIN job n ON n.id = d.needs_id WHERE d.job_id = job.id
        AND NOT (n.state = 'succeeded' OR (job.tolerant = 1 AND n.state = 'failed')))
--
CREATE TRIGGER job_waits BEFORE UPDATE OF state ON job
        WHEN NEW.state = 'waiting' AND OLD.state != 'waiting' AND NOT EXISTS (
            SELECT 1 FROM job_dependency d JOIN job n ON n.id = d.needs_id WHERE d.job_id = NEW.id
            AND NOT (n.state = 'succeeded' OR (NEW.tolerant = 1 AND n.state = 'failed')))
        BEGIN SELECT RAISE(ABORT, 'a job waits for one that it needs'); END
