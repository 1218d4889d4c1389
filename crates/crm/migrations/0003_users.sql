-- Why: deals have owners. An imported user has no e-mail address until somebody gives one.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    company_id    TEXT NOT NULL REFERENCES companies (id),
    external_id   TEXT,
    email         TEXT UNIQUE,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'rep', 'manager', 'admin')),
    active        BIGINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    search_text   TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    version       BIGINT NOT NULL DEFAULT 1,
    UNIQUE (company_id, external_id),
    UNIQUE (company_id, id) -- what a deal's owner refers to, so that no deal can name another company's user
);

CREATE INDEX users_by_name ON users (company_id, name, id);
CREATE INDEX users_by_creation ON users (company_id, created_at_ms, id);
