-- Why: a lost deal is worth nothing, but what it would have been worth must not be lost with it: it may be opened again.
ALTER TABLE deals ADD COLUMN lost_value_cents BIGINT CHECK (lost_value_cents IS NULL OR (lost_value_cents >= 0 AND stage = 'lost'));
