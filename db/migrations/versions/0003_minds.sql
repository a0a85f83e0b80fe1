-- Frozen: what version 0003 adds to 0002. Statements are separated by a line that holds only '--'.
ALTER TABLE job ADD COLUMN rank INTEGER DEFAULT '0' NOT NULL
--
ALTER TABLE job ADD COLUMN dropped VARCHAR
--
DROP INDEX job_queue
--
CREATE INDEX job_queue ON job (rank, id) WHERE state = 'queued'
--
CREATE TABLE earlier_result (
	job_id INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	execution_id INTEGER, 
	architecture VARCHAR, 
	metrics VARCHAR NOT NULL, 
	flags VARCHAR NOT NULL, 
	accepted_at VARCHAR NOT NULL, 
	superseded_at VARCHAR NOT NULL, 
	PRIMARY KEY (job_id, generation), 
	FOREIGN KEY(job_id) REFERENCES job (id), 
	FOREIGN KEY(execution_id) REFERENCES execution (id), 
	FOREIGN KEY(architecture) REFERENCES architecture (hash)
)
 WITHOUT ROWID
--
DROP TRIGGER job_transition
--
CREATE TRIGGER job_transition BEFORE UPDATE OF state ON job
        WHEN OLD.state IS NOT NEW.state AND (OLD.state, NEW.state) NOT IN (VALUES ('waiting', 'cancelled'), ('waiting', 'queued'), ('queued', 'cancelled'), ('queued', 'submitted'), ('queued', 'succeeded'), ('submitted', 'cancelled'), ('submitted', 'failed'), ('submitted', 'queued'), ('submitted', 'running'), ('submitted', 'succeeded'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'queued'), ('running', 'submitted'), ('running', 'succeeded'), ('succeeded', 'queued'), ('succeeded', 'waiting'), ('failed', 'queued'), ('failed', 'succeeded'), ('failed', 'waiting'), ('cancelled', 'queued'), ('cancelled', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'transition refused'); END
--
DROP TRIGGER job_generation
--
CREATE TRIGGER job_generation BEFORE UPDATE ON job
        WHEN NEW.generation != OLD.generation
            + (OLD.state IN ('failed', 'cancelled', 'succeeded') AND NEW.state IN ('queued', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'only a retry raises the generation, and by one'); END
--
DROP TRIGGER result_kept
--
CREATE TRIGGER result_kept BEFORE DELETE ON result
        WHEN NOT EXISTS (SELECT 1 FROM job j JOIN earlier_result e ON e.job_id = j.id AND e.generation = OLD.generation
            WHERE j.id = OLD.job_id AND j.generation > OLD.generation)
        BEGIN SELECT RAISE(ABORT, 'a result is never deleted: the next generation keeps it as an earlier one'); END
--
CREATE TRIGGER earlier_result_fixed BEFORE UPDATE ON earlier_result
        BEGIN SELECT RAISE(ABORT, 'an earlier result never changes'); END
--
CREATE TRIGGER earlier_result_kept BEFORE DELETE ON earlier_result
        BEGIN SELECT RAISE(ABORT, 'an earlier result is never deleted'); END
