-- Frozen: what version 0005 adds to 0004. Statements are separated by a line that holds only '--'.
ALTER TABLE study ADD COLUMN max_running INTEGER
--
ALTER TABLE study ADD COLUMN max_fails INTEGER
--
ALTER TABLE job ADD COLUMN behind INTEGER
--
DROP INDEX job_queue
--
CREATE INDEX job_queue ON job (behind, rank, id) WHERE state = 'queued'
--
CREATE INDEX job_behind ON job (behind, id) WHERE behind IS NOT NULL
--
CREATE TABLE canary (
	job_id INTEGER NOT NULL, 
	began_at VARCHAR NOT NULL, 
	over_at VARCHAR, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES job (id)
)
 WITHOUT ROWID
--
CREATE INDEX canary_open ON canary (job_id) WHERE over_at IS NULL
--
CREATE TRIGGER job_behind BEFORE UPDATE OF behind, state ON job
        WHEN NEW.behind IS NOT NULL AND (NEW.state NOT IN ('queued', 'waiting')
            OR NOT EXISTS (SELECT 1 FROM canary WHERE job_id = NEW.behind AND over_at IS NULL)
            OR EXISTS (SELECT 1 FROM canary WHERE job_id = NEW.id AND over_at IS NULL))
        BEGIN SELECT RAISE(ABORT, 'what waits for an open canary is not sent'); END
--
CREATE TRIGGER canary_over BEFORE UPDATE OF over_at ON canary
        WHEN NEW.over_at IS NOT NULL AND EXISTS (SELECT 1 FROM job WHERE behind = NEW.job_id)
        BEGIN SELECT RAISE(ABORT, 'jobs still wait for that canary'); END
--
CREATE TRIGGER job_room BEFORE UPDATE OF state ON job
        WHEN OLD.state = 'queued' AND NEW.state = 'submitted'
            AND (SELECT max_running FROM study WHERE id = NEW.study_id) <= (SELECT coalesce(sum(n), 0)
                FROM job_count WHERE study_id = NEW.study_id AND state IN ('submitted', 'running'))
        BEGIN SELECT RAISE(ABORT, 'the study runs no more jobs at once'); END
--
CREATE TRIGGER study_limits BEFORE UPDATE OF max_running, max_fails ON study
        WHEN NEW.max_running < 1 OR NEW.max_fails < 1
        BEGIN SELECT RAISE(ABORT, 'a limit of a study is at least 1'); END
