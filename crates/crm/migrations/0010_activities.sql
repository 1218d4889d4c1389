-- Why: what was said and agreed, and what is still to be done, about a deal or a contact: one of the two. It goes with what it is
-- about; of its author only the name stays when that is removed.
CREATE TABLE activities (
    id            TEXT PRIMARY KEY,
    company_id    TEXT NOT NULL REFERENCES companies (id),
    deal_id       TEXT REFERENCES deals (id) ON DELETE CASCADE,
    contact_id    TEXT REFERENCES contacts (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL CHECK (kind IN ('note', 'call', 'email', 'meeting', 'task')),
    text          TEXT NOT NULL,
    author_id     TEXT REFERENCES users (id) ON DELETE SET NULL,
    author_name   TEXT NOT NULL,
    due_on        TEXT,
    done          BIGINT NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    version       BIGINT NOT NULL DEFAULT 1,
    CHECK ((deal_id IS NULL) <> (contact_id IS NULL)),
    CHECK (kind = 'task' OR (due_on IS NULL AND done = 0))
);

CREATE INDEX activities_by_deal ON activities (deal_id, created_at_ms, id);
CREATE INDEX activities_by_contact ON activities (contact_id, created_at_ms, id);
-- Keeps the removal of a user from looking through all of them.
CREATE INDEX activities_by_author ON activities (author_id);
