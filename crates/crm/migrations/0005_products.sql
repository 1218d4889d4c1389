-- Why: the price list. It is reference data, shared by all companies.
CREATE TABLE products (
    id               TEXT PRIMARY KEY,
    external_id      TEXT UNIQUE,
    name             TEXT NOT NULL UNIQUE,
    series           TEXT NOT NULL,
    list_price_cents BIGINT NOT NULL CHECK (list_price_cents >= 0),
    currency         TEXT NOT NULL CHECK (LENGTH(currency) = 3),
    created_at_ms    BIGINT NOT NULL,
    updated_at_ms    BIGINT NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1
);
