//! The statements, as each database takes them.
//!
//! A **position** says where in the history of commits a row stands: SQLite's row number, since it has one writer at a time;
//! PostgreSQL's transaction id. What a **cursor** has passed was seen: in SQLite all rows below a number, in PostgreSQL all that a
//! snapshot sees (`pg_current_snapshot`), for a transaction with a lower id may commit later.

/// How one database is spoken to. All arguments and answers are texts.
#[derive(Debug)]
pub struct Dialect {
    /// Makes the tables where they are not there.
    pub(crate) schema: &'static str,
    /// `$1` what is removed → seq, position.
    pub(crate) add: &'static str,
    /// → a cursor that has passed everything that is committed now.
    pub(crate) now: &'static str,
    /// What a cursor has not passed, by its arguments, one row more than a look takes at most → the cursor behind it, the floor, and then, where there is a row, seq,
    /// position, what it removes, who has done it.
    pub(crate) tail: &'static str,
    /// `$1` who, `$2`, `$3` a position and a seq, `$4` how many at most → rows behind that place that he has not done: seq,
    /// position, what they remove, who has done them.
    pub(crate) missing: &'static str,
    /// `$1` positions, `$2` seqs, `$3` who → those of these rows that he has not done: seq.
    pub(crate) open: &'static str,
    /// `$1` positions, `$2` seqs, `$3` who: notes that he has done these rows.
    pub(crate) mark: &'static str,
    /// → identity, floor.
    pub(crate) state: &'static str,
    /// `$1` an age in ms, `$2` how many rows may stay, `$3` how many are looked at, `$4` a position below which everybody has seen
    /// what there is → the last position that may be deleted, or nothing.
    pub(crate) oldest: &'static str,
    /// `$1` a position: rows up to it are going to be deleted.
    pub(crate) raise_floor: &'static str,
    /// `$1` a position: deletes rows up to it.
    pub(crate) delete: &'static str,
    /// `$1` a position → how many rows from it on nobody has done, and the age of the oldest of them in ms.
    pub(crate) depth: &'static str,
    /// How a list of numbers begins and ends.
    list: [char; 2],
    /// Whether a cursor is a row number and not a snapshot.
    pub(crate) counts: bool,
    /// Whether the database says, at less cost than a look, that others have committed.
    pub(crate) data_version: Option<&'static str>,
    /// Deletes rows of another history than that of this database, and starts anew if there were any: they would stand at positions that
    /// are still to come.
    pub(crate) strays: Option<[&'static str; 2]>,
    /// Makes it another record than the one that others have heard of.
    pub(crate) renew: &'static str,
    /// → where the database recovered from its last crash, or `-`: since then positions that were given before may be given once more.
    pub(crate) recovered: &'static str,
    /// Begins a transaction that writes.
    pub(crate) begin: &'static str,
    /// Keeps others from making the tables at the same time, until the end of the transaction.
    pub(crate) schema_lock: Option<&'static str>,
    /// What the relay's own connection is told first.
    pub(crate) set_up: &'static [&'static str],
}

pub(crate) const TABLE: &str = "larder_outbox";
pub(crate) const STATE: &str = "larder_outbox_state";

pub(crate) static SQLITE: Dialect = Dialect {
    schema: include_str!("../sql/sqlite.sql"),
    add: "INSERT INTO larder_outbox (removes) VALUES ($1) RETURNING CAST(seq AS TEXT), CAST(seq AS TEXT)",
    now: "SELECT CAST(coalesce((SELECT max(seq) FROM larder_outbox), 0) + 1 AS TEXT)",
    tail: "SELECT CAST(coalesce((SELECT max(seq) FROM larder_outbox), 0) + 1 AS TEXT), \
           CAST(s.floor AS TEXT), CAST(o.seq AS TEXT), CAST(o.seq AS TEXT), o.removes, CAST(o.done AS TEXT) \
           FROM larder_outbox_state s LEFT JOIN larder_outbox o ON o.seq >= CAST($1 AS INTEGER) ORDER BY o.seq LIMIT 10001",
    missing: "SELECT CAST(seq AS TEXT), CAST(seq AS TEXT), removes, CAST(done AS TEXT) FROM larder_outbox \
              WHERE $2 IS NOT NULL AND seq > CAST($3 AS INTEGER) AND done IS NOT CAST($1 AS INTEGER) \
              ORDER BY seq LIMIT CAST($4 AS INTEGER)",
    open: "SELECT CAST(seq AS TEXT) FROM larder_outbox WHERE $1 IS NOT NULL \
           AND seq IN (SELECT value FROM json_each($2)) AND done IS NOT CAST($3 AS INTEGER)",
    mark: "UPDATE larder_outbox SET done = CAST($3 AS INTEGER) WHERE $1 IS NOT NULL \
           AND seq IN (SELECT value FROM json_each($2)) AND done IS NOT CAST($3 AS INTEGER)",
    state: "SELECT identity, CAST(floor AS TEXT) FROM larder_outbox_state",
    oldest: "SELECT CAST(max(seq) AS TEXT) FROM \
             (SELECT seq, added_at_ms FROM larder_outbox ORDER BY seq LIMIT CAST($3 AS INTEGER)) \
             WHERE seq < CAST($4 AS INTEGER) AND seq < (SELECT max(seq) FROM larder_outbox) \
             AND (added_at_ms < CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) - CAST($1 AS INTEGER) \
             OR seq <= (SELECT max(seq) FROM larder_outbox) - CAST($2 AS INTEGER))",
    raise_floor: "UPDATE larder_outbox_state SET floor = max(floor, CAST($1 AS INTEGER))",
    delete: "DELETE FROM larder_outbox WHERE seq <= CAST($1 AS INTEGER)",
    depth: "SELECT CAST(count(*) AS TEXT), CAST(coalesce(max(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) - added_at_ms), 0) AS TEXT) \
            FROM larder_outbox WHERE seq >= CAST($1 AS INTEGER) AND done IS NULL",
    list: ['[', ']'],
    counts: true,
    data_version: Some("SELECT CAST(data_version AS TEXT) FROM pragma_data_version"),
    // Noting what is done may be lost with the power: it is then done once more.
    // A writer that holds the file is not waited for long: what is read meanwhile matters more.
    set_up: &["PRAGMA busy_timeout = 200", "PRAGMA synchronous = NORMAL"],
    strays: None,
    renew: "UPDATE larder_outbox_state SET identity = lower(hex(randomblob(16)))",
    recovered: "SELECT '-'",
    // One that reads first and then writes would fail where somebody else writes.
    begin: "BEGIN IMMEDIATE",
    schema_lock: None, // it is alone
};

pub(crate) static POSTGRES: Dialect = Dialect {
    schema: include_str!("../sql/postgres.sql"),
    add: "INSERT INTO larder_outbox (removes) VALUES ($1) RETURNING seq::TEXT, xid::TEXT",
    now: "SELECT pg_current_snapshot()::TEXT",
    tail: "SELECT pg_current_snapshot()::TEXT, s.floor::TEXT, o.seq::TEXT, o.xid::TEXT, o.removes, o.done::TEXT \
           FROM larder_outbox_state s LEFT JOIN larder_outbox o ON o.xid >= $1::TEXT::XID8 OR o.xid = ANY ($2::TEXT::XID8[]) \
           WHERE s.only_row = 1 ORDER BY o.xid, o.seq LIMIT 10001",
    // What is ordered by names its table: the answer has texts of the same names.
    missing: "SELECT seq::TEXT, xid::TEXT, removes, done::TEXT FROM larder_outbox o \
              WHERE (xid, seq) > ($2::TEXT::XID8, $3::TEXT::BIGINT) AND done IS DISTINCT FROM $1::TEXT::BIGINT \
              ORDER BY o.xid, o.seq LIMIT $4::TEXT::BIGINT",
    // A lookup for each row: a list of numbers as a condition would be compared with all rows of a transaction.
    open: "SELECT o.seq::TEXT FROM unnest($1::TEXT::XID8[], $2::TEXT::BIGINT[]) AS r (xid, seq) \
           JOIN larder_outbox o ON o.xid = r.xid AND o.seq = r.seq WHERE o.done IS DISTINCT FROM $3::TEXT::BIGINT",
    mark: "UPDATE larder_outbox o SET done = $3::TEXT::BIGINT FROM unnest($1::TEXT::XID8[], $2::TEXT::BIGINT[]) AS r (xid, seq) \
           WHERE o.xid = r.xid AND o.seq = r.seq AND o.done IS DISTINCT FROM $3::TEXT::BIGINT",
    state: "SELECT identity, floor::TEXT FROM larder_outbox_state",
    oldest: "SELECT xid::TEXT FROM (SELECT xid, seq, added_at_ms FROM larder_outbox ORDER BY xid, seq LIMIT $3::TEXT::BIGINT) AS oldest \
             WHERE xid < $4::TEXT::XID8 \
             AND (added_at_ms < (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT - $1::TEXT::BIGINT \
             OR seq <= (SELECT seq FROM larder_outbox ORDER BY xid DESC, seq DESC LIMIT 1) - $2::TEXT::BIGINT) \
             ORDER BY oldest.xid DESC LIMIT 1",
    raise_floor: "UPDATE larder_outbox_state SET floor = greatest(floor, $1::TEXT::XID8)",
    delete: "DELETE FROM larder_outbox WHERE xid <= $1::TEXT::XID8",
    depth: "SELECT count(*)::TEXT, coalesce(max((EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT - added_at_ms), 0)::TEXT \
            FROM larder_outbox WHERE xid >= $1::TEXT::XID8 AND done IS NULL",
    list: ['{', '}'],
    counts: false,
    data_version: None,
    // The same for what is done. A plan made for all positions alike would look through the whole table, and a table whose statistics
    // were never gathered looks large enough to compile its statements, for a hundred times as long as they take.
    set_up: &[
        "SET application_name = 'larder-outbox'",
        "SET jit = off",
        "SET synchronous_commit = off",
        "SET plan_cache_mode = force_custom_plan",
    ],
    // A snapshot sees no transaction beyond its end, but those of another cluster, whose dump was restored in this one.
    strays: Some([
        "DELETE FROM larder_outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())",
        "UPDATE larder_outbox_state SET identity = replace(gen_random_uuid()::TEXT, '-', ''), floor = '0' \
         WHERE floor >= pg_snapshot_xmax(pg_current_snapshot())",
    ]),
    renew: "UPDATE larder_outbox_state SET identity = replace(gen_random_uuid()::TEXT, '-', '')",
    // After a crash the ids of the last transactions that were rolled back are given once more. This stays as it was at the end of
    // the last recovery.
    recovered: "SELECT coalesce(pg_last_wal_replay_lsn()::TEXT, '-')",
    begin: "BEGIN",
    schema_lock: Some("SELECT pg_advisory_xact_lock(7811302047)::TEXT"),
};

impl Dialect {
    /// A list of numbers, as its statements take it.
    pub(crate) fn list(&self, numbers: impl IntoIterator<Item = u64>) -> String {
        let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
        let [begins, ends] = self.list;
        format!("{begins}{}{ends}", numbers.join(","))
    }
}

/// The number in which `done` keeps who did it.
pub(crate) fn signed(who: u64) -> String {
    who.cast_signed().to_string()
}
