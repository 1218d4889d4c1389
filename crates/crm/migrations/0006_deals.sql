-- Why: what a CRM is for. The checks repeat the stage rules of deals/model.rs, so that no writer, however it comes in,
-- leaves a deal that the statistics would count wrongly.
--
-- `cycle_days` is the number of days from engagement to close. It is stored because the difference of two dates is
-- where SQLite and PostgreSQL have no SQL in common; it changes only with the two dates.
CREATE TABLE deals (
    id            TEXT PRIMARY KEY,
    company_id    TEXT NOT NULL REFERENCES companies (id),
    external_id   TEXT,
    title         TEXT NOT NULL,
    contact_id    TEXT,
    product_id    TEXT REFERENCES products (id),
    owner_id      TEXT,
    stage         TEXT NOT NULL CHECK (stage IN ('prospecting', 'engaging', 'won', 'lost')),
    value_cents   BIGINT NOT NULL CHECK (value_cents >= 0),
    engaged_on    TEXT,
    closed_on     TEXT,
    cycle_days    BIGINT,
    search_text   TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    version       BIGINT NOT NULL DEFAULT 1,
    UNIQUE (company_id, external_id),
    FOREIGN KEY (company_id, contact_id) REFERENCES contacts (company_id, id),
    FOREIGN KEY (company_id, owner_id) REFERENCES users (company_id, id),
    CHECK ((stage IN ('won', 'lost')) = (closed_on IS NOT NULL)),
    CHECK (stage = 'prospecting' OR engaged_on IS NOT NULL),
    CHECK (closed_on IS NULL OR closed_on >= engaged_on),
    CHECK (stage <> 'lost' OR value_cents = 0),
    CHECK ((cycle_days IS NULL) = (closed_on IS NULL))
);

-- Lists: each order that a list offers, within one company; the id makes the order total, so that pages do not overlap.
CREATE INDEX deals_by_creation ON deals (company_id, created_at_ms, id);
CREATE INDEX deals_by_value ON deals (company_id, value_cents, id);
CREATE INDEX deals_by_engagement ON deals (company_id, engaged_on, id);
CREATE INDEX deals_by_close ON deals (company_id, closed_on, id);
CREATE INDEX deals_by_title ON deals (company_id, title, id);
-- The pipeline, answered from the index alone; and the owner's statistics. A contact's or product's deals are found
-- by the last two, which also keep the foreign keys from scanning when a contact, user or product is deleted.
CREATE INDEX deals_by_stage ON deals (company_id, stage, value_cents, cycle_days);
CREATE INDEX deals_by_owner ON deals (company_id, owner_id, stage, value_cents, cycle_days);
CREATE INDEX deals_by_contact ON deals (company_id, contact_id);
CREATE INDEX deals_by_product ON deals (product_id);
