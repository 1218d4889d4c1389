-- Why: who changed what, and when, after a year too. A row is written in the transaction of the change that it tells of, and
-- never changed; it outlives the row and the user that it names, so that it refers to neither.
--
-- `changes` is JSON: for each field that is another one now, what it was and what it is.
CREATE TABLE audit (
    id         TEXT PRIMARY KEY,
    company_id TEXT NOT NULL REFERENCES companies (id),
    at_ms      BIGINT NOT NULL,
    user_id    TEXT NOT NULL,
    user_name  TEXT NOT NULL,
    verb       TEXT NOT NULL CHECK (verb IN ('added', 'changed', 'removed')),
    kind       TEXT NOT NULL,
    row_id     TEXT NOT NULL,
    changes    TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (company_id, at_ms, id);
CREATE INDEX audit_by_row ON audit (company_id, row_id, at_ms, id);
CREATE INDEX audit_by_user ON audit (company_id, user_id, at_ms, id);
