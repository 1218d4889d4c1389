//! The tables, read and kept by the relay over a connection of its own.

use std::time::Duration;

use futures_util::StreamExt;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Pool};

use crate::cursor::{Cursor, Position};
use crate::database::{Database, Texts};
use crate::dialect::{Dialect, STATE, TABLE, signed};
use crate::error::Error;

/// How many rows are passed on together.
pub(crate) const BATCH: usize = 1_000;

/// 10,000: a look takes so many rows with it at most, some megabytes.
pub(crate) const MAX_TAIL: usize = 10_000;

/// 10 seconds: a statement that is not answered by then is given up with its connection; each takes a few milliseconds.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);

/// More milliseconds, or rows, than there will ever be, and few enough to be subtracted from.
const FOREVER: u64 = 1 << 60;

/// How many of the oldest rows are looked at when some are deleted: a transaction that others hardly wait for.
const PRUNED_AT_ONCE: u64 = 10_000;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) position: Position,
    pub(crate) removes: String,
    /// Which life of a Redis has executed it last.
    pub(crate) done: Option<u64>,
}

/// What is known of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) identity: String,
    /// Rows up to there were deleted.
    pub(crate) floor: Position,
}

/// From where on rows are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    Position(Position),
    /// Behind the row at this position with this number.
    Behind((Position, u64)),
}

/// What a database says of commits of others.
#[derive(Debug)]
pub(crate) struct Version(Option<String>);

/// What a cursor had not passed.
#[derive(Debug)]
pub(crate) struct Tail {
    /// In the order of their positions.
    pub(crate) rows: Vec<Row>,
    /// There are no more of them than these.
    pub(crate) is_whole: bool,
    /// The cursor that has passed them all, also those that are not here.
    pub(crate) behind: Cursor,
    /// Up to there rows were deleted.
    pub(crate) floor: Position,
}

/// The tables of one database.
pub(crate) struct Record<DB: Database> {
    pool: Pool<DB>,
    pub(crate) dialect: &'static Dialect,
    connection: Option<DB::Connection>,
    /// It has none of its own: a database in memory belongs to its one connection.
    is_pooled: bool,
    /// What it last said of commits of others, on this connection, when all of them had been read.
    data_version: Option<String>,
    /// How many connections of its own there have been.
    connections: u64,
}

/// The connection that a statement is sent over.
enum Over<'a, DB: Database> {
    Own(&'a mut DB::Connection),
    Pooled(PoolConnection<DB>),
}

impl<DB: Database> Over<'_, DB> {
    fn get(&mut self) -> &mut DB::Connection {
        match self {
            Over::Own(connection) => connection,
            Over::Pooled(connection) => connection,
        }
    }
}

impl<DB: Database> Record<DB> {
    pub(crate) async fn of(pool: &Pool<DB>) -> Result<Self, Error> {
        let connection = pool.acquire().await?;
        let dialect = DB::dialect(&connection)?;
        drop(connection);
        let is_pooled = pool.options().get_max_connections() == 1;
        Ok(Record {
            pool: pool.clone(),
            dialect,
            connection: None,
            is_pooled,
            data_version: None,
            connections: 0,
        })
    }

    /// For a question now and then, over connections of the pool.
    pub(crate) fn pooled(pool: &Pool<DB>, dialect: &'static Dialect) -> Self {
        Record {
            pool: pool.clone(),
            dialect,
            connection: None,
            is_pooled: true,
            data_version: None,
            connections: 0,
        }
    }

    async fn over(&mut self) -> Result<Over<'_, DB>, sqlx::Error> {
        if self.is_pooled {
            return Ok(Over::Pooled(within(self.pool.acquire()).await??));
        }
        if self.connection.is_none() {
            let (pool, dialect) = (&self.pool, self.dialect);
            let connect = async {
                let mut connection = DB::connect(pool).await?;
                for statement in dialect.set_up {
                    DB::execute(&mut connection, statement, &[]).await?;
                }
                Ok::<_, sqlx::Error>(connection)
            };
            self.connection = Some(within(connect).await??);
            self.data_version = None;
            self.connections += 1;
        }
        self.connection.as_mut().map(Over::Own).ok_or(sqlx::Error::PoolClosed)
    }

    /// Notes that the connection is of no more use, if that was what went wrong.
    fn believe<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        if answer.is_err() {
            self.connection = None; // another one is as good, and this one may hold a transaction
        }
        answer
    }

    async fn all(&mut self, sql: &str, arguments: &[&str]) -> Result<Vec<Texts>, Error> {
        let mut all = Vec::new();
        let answer = async {
            let mut over = self.over().await?;
            let mut rows = DB::fetch(over.get(), sql, arguments);
            while let Some(row) = within(rows.next()).await? {
                all.push(row?);
            }
            Ok(())
        };
        let answer = answer.await;
        self.believe(answer).map(|()| all)
    }

    async fn execute(&mut self, sql: &str, arguments: &[&str]) -> Result<u64, Error> {
        let answer = async {
            let mut over = self.over().await?;
            Ok(within(DB::execute(over.get(), sql, arguments)).await??)
        };
        let answer = answer.await;
        self.believe(answer)
    }

    /// What is known of the whole.
    pub(crate) async fn state(&mut self) -> Result<State, Error> {
        let rows = self.all(self.dialect.state, &[]).await?;
        let [row] = &rows[..] else {
            return Err(garbled(STATE, format!("{} rows, where there is one", rows.len())));
        };
        Ok(State { identity: text(row, 0, STATE)?.to_owned(), floor: number(row, 1, STATE)? })
    }

    /// Where the database recovered from its last crash.
    pub(crate) async fn recovered(&mut self) -> Result<String, Error> {
        let rows = self.all(self.dialect.recovered, &[]).await?;
        let row = rows.first().ok_or_else(|| garbled(TABLE, "no answer".to_owned()))?;
        Ok(text(row, 0, TABLE)?.to_owned())
    }

    /// A cursor that has passed everything that is committed now.
    pub(crate) async fn now(&mut self) -> Result<Cursor, Error> {
        let rows = self.all(self.dialect.now, &[]).await?;
        let row = rows.first().ok_or_else(|| garbled(TABLE, "no cursor".to_owned()))?;
        self.cursor(row)
    }

    fn cursor(&self, row: &Texts) -> Result<Cursor, Error> {
        let text = text(row, 0, TABLE)?;
        Cursor::parse(self.dialect, text).ok_or_else(|| garbled(TABLE, format!("the cursor {text}")))
    }

    /// Sees to it that there is a connection, and answers how many of its own there have been: behind a new one the database may have
    /// crashed and come back.
    pub(crate) async fn connect(&mut self) -> Result<u64, Error> {
        let connected = async {
            self.over().await?;
            Ok(())
        };
        let connected = connected.await;
        self.believe(connected).map(|()| self.connections)
    }

    /// Whether others may have committed since all was [read](Self::was_read); `None` if not, else what to tell then. It costs less
    /// than a look.
    pub(crate) async fn may_have_changed(&mut self) -> Result<Option<Version>, Error> {
        let Some(ask) = self.dialect.data_version.filter(|_| self.connection.is_some()) else {
            return Ok(Some(Version(None)));
        };
        let version = self.all(ask, &[]).await?.pop().and_then(|mut row| row.pop().flatten());
        let same = version.is_some() && version == self.data_version;
        Ok((!same).then_some(Version(version)))
    }

    /// Notes that everything was read up to this version.
    pub(crate) fn was_read(&mut self, Version(version): Version) {
        self.data_version = version;
    }

    /// Sees to it that all rows are of this database's own history.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        let Some([delete, renew]) = self.dialect.strays else { return Ok(()) };
        let (deleted, renewed) = (self.execute(delete, &[]).await?, self.execute(renew, &[]).await?);
        if deleted + renewed > 0 {
            tracing::warn!(
                deleted,
                "the outbox had rows of another PostgreSQL, whose dump was restored here"
            );
        }
        Ok(())
    }

    /// What a cursor has not passed.
    pub(crate) async fn tail(&mut self, from: &Cursor) -> Result<Tail, Error> {
        let arguments = from.tail_arguments(self.dialect);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let dialect = self.dialect;
        let answer = async {
            let mut over = self.over().await?;
            let mut answered = DB::fetch(over.get(), dialect.tail, &arguments);
            let (mut behind, mut rows, mut is_whole) = (None, Vec::new(), true);
            while let Some(texts) = within(answered.next()).await? {
                let texts = texts?;
                if behind.is_none() {
                    let cursor = text(&texts, 0, TABLE)?;
                    let cursor = Cursor::parse(dialect, cursor)
                        .ok_or_else(|| garbled(TABLE, format!("the cursor {cursor}")))?;
                    behind = Some((cursor, number(&texts, 1, STATE)?));
                }
                if texts.get(2).is_some_and(Option::is_none) {
                    break; // there is nothing new
                }
                if rows.len() == MAX_TAIL {
                    is_whole = false;
                    break;
                }
                rows.push(row(&texts[2..])?);
            }
            let (behind, floor) =
                behind.ok_or_else(|| garbled(STATE, "no row, where there is one".to_owned()))?;
            Ok(Tail { rows, is_whole, behind, floor })
        };
        let answer = answer.await;
        self.believe(answer)
    }

    /// A batch of the rows from a place on that one has not done; the place behind them comes next.
    pub(crate) async fn missing(&mut self, from: &mut From, who: u64) -> Result<Vec<Row>, Error> {
        let (position, seq) = match *from {
            From::Position(position) if self.dialect.counts => (position, i128::from(position) - 1),
            From::Position(position) => (position, -1),
            From::Behind((position, seq)) => (position, i128::from(seq)),
        };
        let (who, position, seq, most) =
            (signed(who), position.to_string(), seq.to_string(), BATCH.to_string());
        let rows = self.all(self.dialect.missing, &[&who, &position, &seq, &most]).await?;
        let rows: Vec<Row> = rows.iter().map(|texts| row(texts)).collect::<Result<_, _>>()?;
        if let Some(last) = rows.last() {
            *from = From::Behind((last.position, last.seq));
        }
        Ok(rows)
    }

    /// Those of these rows that one has not done.
    pub(crate) async fn open(&mut self, rows: &[(Position, u64)], who: u64) -> Result<Vec<u64>, Error> {
        let (positions, seqs, who) = (self.positions(rows), self.seqs(rows), signed(who));
        let open = self.all(self.dialect.open, &[&positions, &seqs, &who]).await?;
        open.iter().map(|row| number(row, 0, TABLE)).collect()
    }

    /// Notes that one has done these rows.
    pub(crate) async fn mark(&mut self, rows: &[(Position, u64)], who: u64) -> Result<u64, Error> {
        let (positions, seqs, who) = (self.positions(rows), self.seqs(rows), signed(who));
        self.execute(self.dialect.mark, &[&positions, &seqs, &who]).await
    }

    /// Deletes rows that are older than so many milliseconds, and so many that no more than `most` are left, a part of them at a
    /// time, and only what stands before a position up to which every relay has read. Answers how many.
    pub(crate) async fn prune(&mut self, keep_ms: u64, most: u64, seen: Position) -> Result<u64, Error> {
        // More than a database counts to is for ever.
        let arguments = [keep_ms, most, PRUNED_AT_ONCE, seen].map(|number| number.min(FOREVER).to_string());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let oldest = self.all(self.dialect.oldest, &arguments).await?;
        let Some(up_to) = oldest.first().and_then(|row| row.first()?.clone()) else { return Ok(0) };
        let dialect = self.dialect;
        let answer = async {
            let mut over = self.over().await?;
            let prune = async {
                let mut change = over.get().begin().await?;
                DB::execute(&mut change, dialect.raise_floor, &[&up_to]).await?;
                let deleted = DB::execute(&mut change, dialect.delete, &[&up_to]).await?;
                change.commit().await?;
                Ok::<_, sqlx::Error>(deleted)
            };
            Ok(within(prune).await??)
        };
        let answer = answer.await;
        self.believe(answer)
    }

    /// How many rows from a position on nobody has done, and how old the oldest of them is, in milliseconds.
    pub(crate) async fn depth(&mut self, from: Position) -> Result<(u64, u64), Error> {
        let rows = self.all(self.dialect.depth, &[&from.to_string()]).await?;
        let row = rows.first().ok_or_else(|| garbled(TABLE, "no count".to_owned()))?;
        Ok((number(row, 0, TABLE)?, number(row, 1, TABLE)?))
    }

    fn positions(&self, rows: &[(Position, u64)]) -> String {
        self.dialect.list(rows.iter().map(|(position, _)| *position))
    }

    fn seqs(&self, rows: &[(Position, u64)]) -> String {
        self.dialect.list(rows.iter().map(|(_, seq)| *seq))
    }
}

async fn within<T>(answer: impl Future<Output = T>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(STATEMENT_LIMIT, answer).await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)
}

fn garbled(table: &'static str, what: String) -> Error {
    Error::Garbled { table, what }
}

fn text<'a>(row: &'a [Option<String>], at: usize, table: &'static str) -> Result<&'a str, Error> {
    let text = row.get(at).and_then(Option::as_deref);
    text.ok_or_else(|| garbled(table, format!("nothing in column {at} of an answer")))
}

pub(crate) fn number(row: &[Option<String>], at: usize, table: &'static str) -> Result<u64, Error> {
    let text = text(row, at, table)?;
    text.parse().map_err(|_no_number| garbled(table, format!("{text:?}, where a number stands")))
}

fn row(texts: &[Option<String>]) -> Result<Row, Error> {
    let done = texts.get(3).and_then(Option::as_deref);
    let done = done.map(|done| done.parse::<i64>().map(i64::cast_unsigned)).transpose();
    Ok(Row {
        seq: number(texts, 0, TABLE)?,
        position: number(texts, 1, TABLE)?,
        removes: text(texts, 2, TABLE)?.to_owned(),
        done: done.map_err(|_no_number| garbled(TABLE, "a `done` that is no number".to_owned()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{POSTGRES, SQLITE};

    #[test]
    fn a_look_asks_for_one_row_more_than_it_takes() {
        for dialect in [&SQLITE, &POSTGRES] {
            assert!(dialect.tail.ends_with(&format!(" LIMIT {}", MAX_TAIL + 1)), "{}", dialect.tail);
        }
    }
}
