-- Why: the company is the tenant: every other row belongs to exactly one, and nothing crosses.
--
-- Conventions of all tables, chosen so that one SQL text runs on SQLite and PostgreSQL through one driver:
-- ids are text (UUIDv7, so that new rows sort last); money is integer cents; moments are integer milliseconds since
-- 1970 UTC (they compare and sort as numbers in both databases, with no format to agree on); calendar days are text
-- YYYY-MM-DD (they have no time zone, sort as text, and their first seven characters are the month); booleans are
-- 0 or 1; `version` is raised by each update; `external_id` keeps the natural key of an imported row;
-- `search_text` is what a search looks through, in lower case by Unicode's rules, which LOWER() is not in SQLite.
CREATE TABLE companies (
    id               TEXT PRIMARY KEY,
    external_id      TEXT UNIQUE,
    name             TEXT NOT NULL,
    sector           TEXT,
    country          TEXT REFERENCES countries (code),
    currency         TEXT NOT NULL CHECK (LENGTH(currency) = 3),
    stale_after_days BIGINT NOT NULL DEFAULT 90 CHECK (stale_after_days > 0),
    search_text      TEXT NOT NULL,
    created_at_ms    BIGINT NOT NULL,
    updated_at_ms    BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);

CREATE INDEX companies_by_name ON companies (name, id);
