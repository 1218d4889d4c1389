-- Why: the people and organisations that a company does business with.
CREATE TABLE contacts (
    id            TEXT PRIMARY KEY,
    company_id    TEXT NOT NULL REFERENCES companies (id),
    external_id   TEXT,
    kind          TEXT NOT NULL CHECK (kind IN ('person', 'organisation')),
    name          TEXT NOT NULL,
    organisation  TEXT,
    title         TEXT,
    email         TEXT,
    phone         TEXT,
    country       TEXT REFERENCES countries (code),
    search_text   TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    version       BIGINT NOT NULL DEFAULT 1,
    UNIQUE (company_id, external_id),
    UNIQUE (company_id, id) -- what a deal refers to, so that no deal can name another company's contact
);

CREATE INDEX contacts_by_name ON contacts (company_id, name, id);
CREATE INDEX contacts_by_creation ON contacts (company_id, created_at_ms, id);
