-- The outbox of larder for SQLite 3.38 or newer: what each change made untrue, committed together with the change.
--
-- `larder-outbox` makes these tables itself (`Outbox::migrate`). This file is for those who keep their migrations elsewhere:
-- run it once, whole. Running it again changes nothing.

-- A row for each change. It stays for as long as a Redis may come back with data from before it.
CREATE TABLE IF NOT EXISTS larder_outbox (
    -- Rows are committed in this order, since SQLite has one writer at a time. The last row is never deleted, so that no number is
    -- given twice that was committed; AUTOINCREMENT would write one more page for each change.
    seq         INTEGER PRIMARY KEY,
    -- What to remove: the JSON of larder's `Invalidation`.
    removes     TEXT    NOT NULL,
    -- When it was written, in milliseconds since 1970.
    added_at_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    -- Which life of a Redis has executed it. For any other it is not done.
    done        INTEGER
);

-- One row: what is known of the whole.
CREATE TABLE IF NOT EXISTS larder_outbox_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Tells this database from any other that a Redis may have heard of.
    identity TEXT    NOT NULL,
    -- Rows up to this `seq` were deleted, and nobody knows any more what was in them.
    floor    INTEGER NOT NULL
);
INSERT INTO larder_outbox_state (only_row, identity, floor) VALUES (1, lower(hex(randomblob(16))), 0)
ON CONFLICT (only_row) DO NOTHING;
