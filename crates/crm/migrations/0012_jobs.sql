-- Why: of all processes on one database, one runs what is due. Who claims a job has it until then: if it is gone by that time,
-- another one takes it.
CREATE TABLE jobs (
    name             TEXT PRIMARY KEY,
    next_at_ms       BIGINT NOT NULL,
    claimed_until_ms BIGINT NOT NULL
);

INSERT INTO jobs (name, next_at_ms, claimed_until_ms) VALUES ('analytics', 0, 0);
