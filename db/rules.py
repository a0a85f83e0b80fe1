"""The rules of state, as triggers: a wrong transition is refused by the database, whoever asks."""

from __future__ import annotations

from jobs.words import TRANSITIONS


def _allowed() -> str:
    pairs = [f"('{before}', '{after}')" for before, afters in TRANSITIONS.items() for after in sorted(afters)]
    return f"(VALUES {', '.join(pairs)})"


def triggers() -> list[str]:
    """The statements that make all triggers, from the table of transitions in `jobs.words`."""
    count = "INSERT INTO job_count VALUES (NEW.study_id, NEW.kind, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;"
    event = (
        "INSERT INTO event (job_id, at, before, after, generation, attempt, cause) "
        "VALUES (NEW.id, NEW.updated_at, {before}, NEW.state, NEW.generation, NEW.attempts, NEW.cause);"
    )
    return [
        """CREATE TRIGGER job_begins BEFORE INSERT ON job
        WHEN NEW.state NOT IN ('waiting', 'queued') AND NOT (NEW.imported = 1 AND NEW.state = 'submitted')
        BEGIN SELECT RAISE(ABORT, 'a job begins as waiting or queued'); END""",
        f"""CREATE TRIGGER job_inserted AFTER INSERT ON job BEGIN {count} {event.format(before="NULL")} END""",
        f"""CREATE TRIGGER job_transition BEFORE UPDATE OF state ON job
        WHEN OLD.state IS NOT NEW.state AND (OLD.state, NEW.state) NOT IN {_allowed()}
        BEGIN SELECT RAISE(ABORT, 'transition refused'); END""",
        f"""CREATE TRIGGER job_changed AFTER UPDATE OF state ON job WHEN OLD.state IS NOT NEW.state BEGIN
        UPDATE job_count SET n = n - 1 WHERE study_id = OLD.study_id AND kind = OLD.kind AND state = OLD.state;
        {count} {event.format(before="OLD.state")} END""",
        """CREATE TRIGGER job_generation BEFORE UPDATE ON job
        WHEN NEW.generation != OLD.generation
            + (OLD.state IN ('failed', 'cancelled', 'succeeded') AND NEW.state IN ('queued', 'waiting'))
        BEGIN SELECT RAISE(ABORT, 'only a retry raises the generation, and by one'); END""",
        """CREATE TRIGGER job_identity BEFORE UPDATE OF study_id, config_id, kind, seed, key ON job
        BEGIN SELECT RAISE(ABORT, 'a job never changes what it is'); END""",
        """CREATE TRIGGER job_kept BEFORE DELETE ON job BEGIN SELECT RAISE(ABORT, 'jobs are never deleted'); END""",
        """CREATE TRIGGER job_succeeds BEFORE UPDATE OF state ON job
        WHEN NEW.state = 'succeeded' AND OLD.state != 'succeeded'
            AND NOT EXISTS (SELECT 1 FROM result WHERE job_id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'a job succeeds by an accepted result'); END""",
        """CREATE TRIGGER job_leaves BEFORE UPDATE OF state ON job
        WHEN NEW.state IN ('queued', 'waiting', 'succeeded', 'failed', 'cancelled') AND OLD.state != NEW.state
            AND EXISTS (SELECT 1 FROM attempt WHERE job_id = NEW.id AND state != 'ended')
        BEGIN SELECT RAISE(ABORT, 'its attempt is still alive'); END""",
        """CREATE TRIGGER job_waits BEFORE UPDATE OF state ON job
        WHEN NEW.state = 'waiting' AND OLD.state != 'waiting' AND NOT EXISTS (
            SELECT 1 FROM job_dependency d JOIN job n ON n.id = d.needs_id WHERE d.job_id = NEW.id
            AND NOT (n.state = 'succeeded' OR (NEW.tolerant = 1 AND n.state = 'failed')))
        BEGIN SELECT RAISE(ABORT, 'a job waits for one that it needs'); END""",
        """CREATE TRIGGER job_goes BEFORE UPDATE OF state ON job
        WHEN NEW.state IN ('submitted', 'running') AND OLD.state NOT IN ('submitted', 'running')
            AND NOT EXISTS (SELECT 1 FROM attempt WHERE job_id = NEW.id AND state != 'ended')
        BEGIN SELECT RAISE(ABORT, 'a job is submitted by an attempt'); END""",
        """CREATE TRIGGER attempt_begins BEFORE INSERT ON attempt
        WHEN NEW.state = 'ended' OR NOT EXISTS (
            SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'queued' AND generation = NEW.generation)
        BEGIN SELECT RAISE(ABORT, 'an attempt begins on a queued job of its generation'); END""",
        """CREATE TRIGGER attempt_final BEFORE UPDATE OF state ON attempt
        WHEN OLD.state = 'ended' AND NEW.state != 'ended'
        BEGIN SELECT RAISE(ABORT, 'an ended attempt stays ended'); END""",
        """CREATE TRIGGER attempt_altered BEFORE UPDATE OF launch_id, recall, nice, altered ON attempt
        WHEN OLD.state = 'ended'
        BEGIN SELECT RAISE(ABORT, 'what has ended is not changed in a queue'); END""",
        """CREATE TRIGGER result_accepted BEFORE INSERT ON result
        WHEN NOT EXISTS (
            SELECT 1 FROM job WHERE id = NEW.job_id AND generation = NEW.generation
            AND (state IN ('queued', 'submitted', 'running', 'failed') OR (state = 'waiting' AND attempts > 0)))
        BEGIN SELECT RAISE(ABORT, 'a result is of an open job and its current generation'); END""",
        """CREATE TRIGGER result_kept BEFORE DELETE ON result
        WHEN NOT EXISTS (SELECT 1 FROM job j JOIN earlier_result e ON e.job_id = j.id AND e.generation = OLD.generation
            WHERE j.id = OLD.job_id AND j.generation > OLD.generation)
        BEGIN SELECT RAISE(ABORT, 'a result is never deleted: the next generation keeps it as an earlier one'); END""",
        """CREATE TRIGGER earlier_result_fixed BEFORE UPDATE ON earlier_result
        BEGIN SELECT RAISE(ABORT, 'an earlier result never changes'); END""",
        """CREATE TRIGGER earlier_result_kept BEFORE DELETE ON earlier_result
        BEGIN SELECT RAISE(ABORT, 'an earlier result is never deleted'); END""",
        """CREATE TRIGGER result_fixed
        BEFORE UPDATE OF job_id, config_id, execution_id, generation, architecture, accepted_at
        ON result BEGIN SELECT RAISE(ABORT, 'a result never changes what it is of'); END""",
        """CREATE TRIGGER result_corrected BEFORE UPDATE OF metrics, test_accuracy, original ON result
        WHEN (NEW.metrics IS NOT OLD.metrics OR NEW.test_accuracy IS NOT OLD.test_accuracy
            OR NEW.original IS NOT OLD.original)
            AND NOT (NEW.metrics IS NOT OLD.metrics AND (NEW.original IS coalesce(OLD.original, OLD.metrics)
                OR (NEW.original IS NULL AND NEW.metrics IS OLD.original)))
        BEGIN SELECT RAISE(ABORT, 'a result never changes but by a correction, which keeps what was accepted'); END""",
        """CREATE TRIGGER job_behind BEFORE UPDATE OF behind, state ON job
        WHEN NEW.behind IS NOT NULL AND (NEW.state NOT IN ('queued', 'waiting')
            OR NOT EXISTS (SELECT 1 FROM canary WHERE job_id = NEW.behind AND over_at IS NULL)
            OR EXISTS (SELECT 1 FROM canary WHERE job_id = NEW.id AND over_at IS NULL))
        BEGIN SELECT RAISE(ABORT, 'what waits for an open canary is not sent'); END""",
        """CREATE TRIGGER canary_over BEFORE UPDATE OF over_at ON canary
        WHEN NEW.over_at IS NOT NULL AND EXISTS (SELECT 1 FROM job WHERE behind = NEW.job_id)
        BEGIN SELECT RAISE(ABORT, 'jobs still wait for that canary'); END""",
        """CREATE TRIGGER job_room BEFORE UPDATE OF state ON job
        WHEN OLD.state = 'queued' AND NEW.state = 'submitted'
            AND (SELECT max_running FROM study WHERE id = NEW.study_id) <= (SELECT coalesce(sum(n), 0)
                FROM job_count WHERE study_id = NEW.study_id AND state IN ('submitted', 'running'))
        BEGIN SELECT RAISE(ABORT, 'the study runs no more jobs at once'); END""",
        """CREATE TRIGGER study_limits BEFORE UPDATE OF max_running, max_fails ON study
        WHEN NEW.max_running < 1 OR NEW.max_fails < 1
        BEGIN SELECT RAISE(ABORT, 'a limit of a study is at least 1'); END""",
        """CREATE TRIGGER event_fixed BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
        """CREATE TRIGGER event_kept BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    ]
