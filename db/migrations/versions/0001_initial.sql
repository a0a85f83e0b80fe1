-- Frozen: the schema and its rules as of version 0001. Statements are separated by a line that holds only '--'.
CREATE TABLE architecture (
    hash VARCHAR NOT NULL,
    edges VARCHAR NOT NULL,
    shortcuts INTEGER NOT NULL,
    PRIMARY KEY (hash)
)
 WITHOUT ROWID
--
CREATE TABLE config (
    id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    kind_version INTEGER NOT NULL,
    preset VARCHAR NOT NULL,
    dataset VARCHAR DEFAULT '' NOT NULL,
    text VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (kind, kind_version, text, dataset)
)
--
CREATE TABLE job_count (
    study_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (study_id, kind, state)
)
 WITHOUT ROWID
--
CREATE TABLE launch (
    id INTEGER NOT NULL,
    backend VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (text)
)
--
CREATE TABLE lease (
    id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    host VARCHAR,
    pid INTEGER,
    process_start VARCHAR,
    boot_id VARCHAR,
    renewed_at VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT lease_single CHECK (id = 1)
)
--
CREATE TABLE setting (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (name)
)
--
CREATE TABLE study (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
)
--
CREATE TABLE submission (
    token VARCHAR NOT NULL,
    backend VARCHAR NOT NULL,
    size INTEGER NOT NULL,
    slot VARCHAR,
    native_id VARCHAR,
    created_at VARCHAR NOT NULL,
    misses INTEGER DEFAULT '0' NOT NULL,
    missed_at VARCHAR,
    PRIMARY KEY (token),
    CONSTRAINT submission_backend CHECK (backend IN ('local', 'slurm'))
)
 WITHOUT ROWID
--
CREATE INDEX submission_intent ON submission (token) WHERE native_id IS NULL
--
CREATE TABLE job (
    id INTEGER NOT NULL,
    study_id INTEGER NOT NULL,
    config_id INTEGER NOT NULL,
    launch_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    seed INTEGER NOT NULL,
    "key" VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    generation INTEGER DEFAULT '1' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    resume INTEGER DEFAULT '1' NOT NULL,
    imported INTEGER DEFAULT '0' NOT NULL,
    tolerant INTEGER DEFAULT '0' NOT NULL,
    cause VARCHAR,
    error VARCHAR,
    not_before VARCHAR,
    memory_mb INTEGER,
    created_at VARCHAR NOT NULL,
    updated_at VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (study_id, "key"),
    CONSTRAINT job_state CHECK (state IN ('waiting', 'queued', 'submitted', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT job_cause CHECK (cause IS NULL OR cause IN ('success', 'node_failure', 'launch_failure', 'gpu_fault', 'preempted', 'timeout', 'out_of_memory', 'gpu_out_of_memory', 'killed', 'error', 'cancelled', 'lost')),
    FOREIGN KEY(study_id) REFERENCES study (id),
    FOREIGN KEY(config_id) REFERENCES config (id),
    FOREIGN KEY(launch_id) REFERENCES launch (id)
)
--
CREATE INDEX job_by_state ON job (study_id, state, kind, id)
--
CREATE INDEX job_queue ON job (id) WHERE state = 'queued'
--
CREATE INDEX job_waiting ON job (id) WHERE state = 'waiting'
--
CREATE TABLE attempt (
    id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    token VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    state VARCHAR DEFAULT 'submitted' NOT NULL,
    phase VARCHAR,
    reason VARCHAR,
    node VARCHAR,
    absent INTEGER DEFAULT '0' NOT NULL,
    doomed INTEGER DEFAULT '0' NOT NULL,
    cause VARCHAR,
    evidence VARCHAR,
    decision VARCHAR,
    checkpoint_step INTEGER DEFAULT '-1' NOT NULL,
    created_at VARCHAR NOT NULL,
    ended_at VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (job_id, number),
    CONSTRAINT attempt_state CHECK (state IN ('submitted', 'running', 'ended')),
    CONSTRAINT attempt_cause CHECK (cause IS NULL OR cause IN ('success', 'node_failure', 'launch_failure', 'gpu_fault', 'preempted', 'timeout', 'out_of_memory', 'gpu_out_of_memory', 'killed', 'error', 'cancelled', 'lost')),
    FOREIGN KEY(job_id) REFERENCES job (id),
    FOREIGN KEY(token) REFERENCES submission (token)
)
--
CREATE INDEX attempt_by_token ON attempt (token)
--
CREATE INDEX attempt_given_up ON attempt (id) WHERE cause IN ('lost', 'node_failure', 'killed', 'timeout', 'launch_failure', 'preempted')
--
CREATE INDEX attempt_live ON attempt (id) WHERE state != 'ended' OR doomed = 1
--
CREATE UNIQUE INDEX attempt_one_live ON attempt (job_id) WHERE state != 'ended'
--
CREATE TABLE event (
    id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    at VARCHAR NOT NULL,
    "before" VARCHAR,
    "after" VARCHAR NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    cause VARCHAR,
    PRIMARY KEY (id),
    FOREIGN KEY(job_id) REFERENCES job (id)
)
--
CREATE INDEX event_by_job ON event (job_id)
--
CREATE TABLE job_dependency (
    job_id INTEGER NOT NULL,
    needs_id INTEGER NOT NULL,
    PRIMARY KEY (job_id, needs_id),
    FOREIGN KEY(job_id) REFERENCES job (id),
    FOREIGN KEY(needs_id) REFERENCES job (id)
)
 WITHOUT ROWID
--
CREATE INDEX job_dependency_needs ON job_dependency (needs_id)
--
CREATE TABLE node_health (
    id INTEGER NOT NULL,
    node VARCHAR NOT NULL,
    at VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    job_id INTEGER,
    cleared_at VARCHAR,
    PRIMARY KEY (id),
    FOREIGN KEY(job_id) REFERENCES job (id)
)
--
CREATE INDEX node_health_open ON node_health (node) WHERE cleared_at IS NULL
--
CREATE TABLE execution (
    id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    attempt_id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    node VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    pid INTEGER NOT NULL,
    process_start DOUBLE NOT NULL,
    boot_id VARCHAR NOT NULL,
    slurm_job VARCHAR,
    code_changed INTEGER NOT NULL,
    started_at VARCHAR NOT NULL,
    ready_at VARCHAR,
    ended_at VARCHAR,
    ending VARCHAR,
    cause VARCHAR,
    error VARCHAR,
    superseded INTEGER DEFAULT '0' NOT NULL,
    epoch INTEGER,
    epochs INTEGER,
    latest VARCHAR,
    checkpoint_step INTEGER DEFAULT '-1' NOT NULL,
    wall_seconds DOUBLE DEFAULT '0' NOT NULL,
    gpu_seconds DOUBLE DEFAULT '0' NOT NULL,
    peak_memory_mb DOUBLE DEFAULT '0' NOT NULL,
    device_name VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (attempt_id, name),
    CONSTRAINT execution_cause CHECK (cause IS NULL OR cause IN ('success', 'node_failure', 'launch_failure', 'gpu_fault', 'preempted', 'timeout', 'out_of_memory', 'gpu_out_of_memory', 'killed', 'error', 'cancelled', 'lost')),
    FOREIGN KEY(job_id) REFERENCES job (id),
    FOREIGN KEY(attempt_id) REFERENCES attempt (id)
)
--
CREATE INDEX execution_by_job ON execution (job_id)
--
CREATE INDEX execution_code_changed ON execution (job_id) WHERE code_changed = 1
--
CREATE TABLE metric (
    execution_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    value DOUBLE,
    PRIMARY KEY (execution_id, epoch, name),
    FOREIGN KEY(execution_id) REFERENCES execution (id)
)
 WITHOUT ROWID
--
CREATE TABLE result (
    job_id INTEGER NOT NULL,
    config_id INTEGER NOT NULL,
    execution_id INTEGER,
    generation INTEGER NOT NULL,
    architecture VARCHAR,
    test_accuracy DOUBLE,
    metrics VARCHAR NOT NULL,
    flags VARCHAR NOT NULL,
    accepted_at VARCHAR NOT NULL,
    PRIMARY KEY (job_id),
    FOREIGN KEY(job_id) REFERENCES job (id),
    FOREIGN KEY(config_id) REFERENCES config (id),
    UNIQUE (execution_id),
    FOREIGN KEY(execution_id) REFERENCES execution (id),
    FOREIGN KEY(architecture) REFERENCES architecture (hash)
)
--
CREATE INDEX result_accuracy ON result (config_id, test_accuracy)
--
CREATE TRIGGER job_begins BEFORE INSERT ON job
        WHEN NEW.state NOT IN ('waiting', 'queued') AND NOT (NEW.imported = 1 AND NEW.state = 'submitted')
        BEGIN SELECT RAISE(ABORT, 'a job begins as waiting or queued'); END
--
CREATE TRIGGER job_inserted AFTER INSERT ON job BEGIN INSERT INTO job_count VALUES (NEW.study_id, NEW.kind, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1; INSERT INTO event (job_id, at, before, after, generation, attempt, cause) VALUES (NEW.id, NEW.updated_at, NULL, NEW.state, NEW.generation, NEW.attempts, NEW.cause); END
--
CREATE TRIGGER job_transition BEFORE UPDATE OF state ON job
        WHEN OLD.state IS NOT NEW.state AND (OLD.state, NEW.state) NOT IN (VALUES ('waiting', 'cancelled'), ('waiting', 'queued'), ('queued', 'cancelled'), ('queued', 'submitted'), ('queued', 'succeeded'), ('submitted', 'cancelled'), ('submitted', 'failed'), ('submitted', 'queued'), ('submitted', 'running'), ('submitted', 'succeeded'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'queued'), ('running', 'submitted'), ('running', 'succeeded'), ('failed', 'queued'), ('failed', 'succeeded'), ('cancelled', 'queued'), ('cancelled', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'transition refused'); END
--
CREATE TRIGGER job_changed AFTER UPDATE OF state ON job WHEN OLD.state IS NOT NEW.state BEGIN
        UPDATE job_count SET n = n - 1 WHERE study_id = OLD.study_id AND kind = OLD.kind AND state = OLD.state;
        INSERT INTO job_count VALUES (NEW.study_id, NEW.kind, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1; INSERT INTO event (job_id, at, before, after, generation, attempt, cause) VALUES (NEW.id, NEW.updated_at, OLD.state, NEW.state, NEW.generation, NEW.attempts, NEW.cause); END
--
CREATE TRIGGER job_generation BEFORE UPDATE ON job
        WHEN NEW.generation != OLD.generation
            + (OLD.state IN ('failed', 'cancelled') AND NEW.state IN ('queued', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'only a retry raises the generation, and by one'); END
--
CREATE TRIGGER job_identity BEFORE UPDATE OF study_id, config_id, kind, seed, key ON job
        BEGIN SELECT RAISE(ABORT, 'a job never changes what it is'); END
--
CREATE TRIGGER job_kept BEFORE DELETE ON job BEGIN SELECT RAISE(ABORT, 'jobs are never deleted'); END
--
CREATE TRIGGER job_succeeds BEFORE UPDATE OF state ON job
        WHEN NEW.state = 'succeeded' AND OLD.state != 'succeeded'
            AND NOT EXISTS (SELECT 1 FROM result WHERE job_id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'a job succeeds by an accepted result'); END
--
CREATE TRIGGER job_leaves BEFORE UPDATE OF state ON job
        WHEN NEW.state IN ('queued', 'waiting', 'succeeded', 'failed', 'cancelled') AND OLD.state != NEW.state
            AND EXISTS (SELECT 1 FROM attempt WHERE job_id = NEW.id AND state != 'ended')
        BEGIN SELECT RAISE(ABORT, 'its attempt is still alive'); END
--
CREATE TRIGGER job_goes BEFORE UPDATE OF state ON job
        WHEN NEW.state IN ('submitted', 'running') AND OLD.state NOT IN ('submitted', 'running')
            AND NOT EXISTS (SELECT 1 FROM attempt WHERE job_id = NEW.id AND state != 'ended')
        BEGIN SELECT RAISE(ABORT, 'a job is submitted by an attempt'); END
--
CREATE TRIGGER attempt_begins BEFORE INSERT ON attempt
        WHEN NEW.state = 'ended' OR NOT EXISTS (
            SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'queued' AND generation = NEW.generation)
        BEGIN SELECT RAISE(ABORT, 'an attempt begins on a queued job of its generation'); END
--
CREATE TRIGGER attempt_final BEFORE UPDATE OF state ON attempt
        WHEN OLD.state = 'ended' AND NEW.state != 'ended'
        BEGIN SELECT RAISE(ABORT, 'an ended attempt stays ended'); END
--
CREATE TRIGGER result_accepted BEFORE INSERT ON result
        WHEN NOT EXISTS (
            SELECT 1 FROM job WHERE id = NEW.job_id AND generation = NEW.generation
            AND state IN ('queued', 'submitted', 'running', 'failed'))
        BEGIN SELECT RAISE(ABORT, 'a result is of an open job and its current generation'); END
--
CREATE TRIGGER result_kept BEFORE DELETE ON result
        BEGIN SELECT RAISE(ABORT, 'a result is never deleted'); END
--
CREATE TRIGGER result_fixed BEFORE UPDATE ON result
        BEGIN SELECT RAISE(ABORT, 'a result never changes'); END
--
CREATE TRIGGER event_fixed BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
--
CREATE TRIGGER event_kept BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
--
INSERT INTO lease (id, number) VALUES (1, 0)
--
INSERT INTO setting VALUES ('journal_seq', '0')
