//! Who may have a SQLite file open at the same time: one process, or those whose cache is in one Redis.
//!
//! A process whose cache is its own would not see what another writes, so it has the file alone. Processes that share a
//! Redis see each other's removals there. The lock file beside the database (`crm.db.lock`) is locked by the system,
//! alone or shared, and in it stands which Redis has heard of every change, and who understands what it holds. Two rules
//! hold it together:
//!
//! - What stands there changes only under the lock that excludes everybody, and whoever shares looks at it again once he
//!   has his share. So all who share at one time have the same Redis, whatever starts and dies meanwhile.
//! - Whoever writes without telling that Redis takes its name out first. So a Redis that is found there at the next start
//!   holds nothing that is no longer true, and any other is emptied before it is used. That it is still the same, and has
//!   served no other database meanwhile, it shows by a sign that it was given when it was emptied.
//!
//! Whoever shares and could not tell it of a change strikes the sign out, which is the one thing that may be done under a
//! shared lock: it takes away, at once, and twice is as good as once. The process may die before it can tell it.

use crate::config::{DatabaseUrl, RedisPlace};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Most links that one name may lead through; Linux gives up at as many.
const MAX_LINKS: usize = 40;
/// How long a process waits for one that is starting with the same Redis: it may be making the tables and the demo data.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long what is in the way must stay there before it is a refusal: others hold the lock for a moment to look, and
/// what stands in the file is older than the lock for a moment.
const GRACE: Duration = Duration::from_millis(300);
/// How often a process that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The most that is read of what stands in a lock file, in bytes: a host, a namespace and a few words.
const MAX_NOTE_BYTES: u64 = 4_096;

/// Proof that no other process of this program has the database open, and that no Redis is believed to know what is in it.
/// Released when dropped, or when the process dies.
#[derive(Debug)]
pub struct DatabaseLock {
    file: Option<LockFile>,
}

/// What processes must have in common to share a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where their cache is.
    pub redis: RedisPlace,
    /// Which tables they know and which answers they make of them: another program would not understand what this one caches.
    pub program: String,
}

impl std::fmt::Display for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by crm {}", self.redis, self.program)
    }
}

/// The first of the processes that share a Redis. While it prepares the database the others wait.
#[derive(Debug)]
pub struct First {
    alone: DatabaseLock,
    terms: Terms,
    sign: Option<String>,
}

/// The right to have the database open together with others whose cache is in the same Redis. Released when dropped, or
/// when the process dies.
#[derive(Debug)]
pub struct SharedLock {
    file: LockFile,
    sign: Option<String>,
    /// How much of the file says who shares; the sign follows.
    terms_bytes: u64,
}

/// How a process came to its database.
#[derive(Debug)]
pub enum Admission {
    /// Alone, with a cache of its own, or none.
    Alone(DatabaseLock),
    /// As the first of those that share a Redis.
    First(First),
    /// Beside others that share a Redis.
    Beside(SharedLock),
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it alone.
    #[error(
        "another `crm` process has the database {} open. Each process keeps its own cache and would not see what \
         the other writes: stop the other one first, name another database with CRM_DATABASE_URL, or start both with the \
         same CRM_REDIS_URL",
        .0.display()
    )]
    Taken(PathBuf),
    /// Others share it by a Redis, and whoever asks would have it alone.
    #[error(
        "`crm` processes have the database {} open and share the cache in Redis at {theirs}. This one needs it alone, and \
         that cache would not hear of what it writes: stop them first, or name another database with \
         CRM_DATABASE_URL. Only a `crm serve` with the same CRM_REDIS_URL and its cache on can run beside them",
        .database.display()
    )]
    Shared {
        /// The database.
        database: PathBuf,
        /// What they share.
        theirs: String,
    },
    /// Others share it by another Redis, or are another program.
    #[error(
        "`crm` processes have the database {} open and share the cache in Redis at {theirs}. This one would use the one \
         at {asked}, and neither would hear of the other's changes or understand its entries: run the same `crm` with \
         CRM_REDIS_URL and CRM_REDIS_NAMESPACE as they are set there, stop them first, or name another database with \
         CRM_DATABASE_URL",
        .database.display()
    )]
    OtherTerms {
        /// The database.
        database: PathBuf,
        /// What they share.
        theirs: String,
        /// What was asked for.
        asked: Terms,
    },
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be opened: {source}. Its directory must exist and be writable", .path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DatabaseLock {
    /// Takes the lock of a database; one in memory has no other process to exclude and needs none. No Redis is believed to
    /// know the database from now on.
    ///
    /// The lock file stays: removing it would let two processes hold locks on two files of one name.
    ///
    /// # Errors
    /// [`LockError::Taken`] or [`LockError::Shared`] when others have it: this does not wait.
    pub fn take(url: &DatabaseUrl) -> Result<Self, LockError> {
        let Some(database) = url.file() else { return Ok(Self { file: None }) };
        let file = LockFile::open(database)?;
        if file.try_alone()? {
            file.write(None)?;
            return Ok(Self { file: Some(file) });
        }
        if !file.try_shared()? {
            return Err(LockError::Taken(database.to_owned()));
        }
        let theirs = file.read()?.map_or_else(|| "an unknown place".to_owned(), |note| note.terms);
        Err(LockError::Shared { database: database.to_owned(), theirs })
    }
}

impl Admission {
    /// Asks for a database: alone, or, on terms, beside those that share it on the same ones. It waits for one that is just
    /// starting on them.
    ///
    /// # Errors
    /// Who has the database, and what to do about it.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is held.
    pub async fn ask(url: &DatabaseUrl, terms: Option<Terms>) -> Result<Self, LockError> {
        let (Some(terms), Some(database)) = (terms, url.file()) else {
            return DatabaseLock::take(url).map(Self::Alone);
        };
        let mut file = LockFile::open(database)?;
        let begun = Instant::now();
        loop {
            if file.try_alone()? {
                // A database that is not there yet is not the one that was known.
                let exists = database.metadata().is_ok_and(|file| file.len() > 0);
                let note = file.read()?.filter(|note| exists && note.terms == terms.to_string());
                let sign = note.and_then(|note| note.sign);
                if sign.is_none() {
                    file.write(Some((&terms, None)))?;
                }
                return Ok(Self::First(First { alone: DatabaseLock { file: Some(file) }, terms, sign }));
            }
            file = match file.share(&terms, begun)? {
                Share::Granted(shared) => return Ok(Self::Beside(shared)),
                Share::NotYet(file) => file,
            };
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The sign that the Redis holds if it has heard of every change of this database. One that does not hold it is to be
    /// emptied before it is used, and so is each where this is `None`.
    #[must_use]
    pub fn sign(&self) -> Option<&str> {
        match self {
            Self::Alone(_) => None,
            Self::First(First { sign, .. }) | Self::Beside(SharedLock { sign, .. }) => sign.as_deref(),
        }
    }

    /// The proof that nobody else has the database open, if that is so: to write what is not announced. The Redis has not
    /// heard of it then, and is to be emptied.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn alone(&mut self) -> Result<Option<&DatabaseLock>, LockError> {
        match self {
            Self::Alone(lock) => Ok(Some(lock)),
            Self::First(first) => {
                first.note(None)?;
                Ok(Some(&first.alone))
            }
            Self::Beside(_) => Ok(None),
        }
    }

    /// Takes down that the Redis has been emptied and then given this sign, so that the next start can trust it.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn redis_holds(&mut self, sign: &str) -> Result<(), LockError> {
        match self {
            Self::First(first) => first.note(Some(sign)),
            // Only who is alone may write: the next who is empties it once more.
            Self::Alone(_) | Self::Beside(_) => Ok(()),
        }
    }

    /// Takes down, before a change is answered, that the Redis could not be told of it: the next to start empties it, unless this
    /// process lives to tell it.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn redis_missed_a_change(&self) -> Result<(), LockError> {
        match self {
            Self::Beside(SharedLock { file, terms_bytes, .. }) => file.cut(*terms_bytes),
            // There is no Redis, or nobody is served yet.
            Self::Alone(_) | Self::First(_) => Ok(()),
        }
    }

    /// Lets in those who wait for this process to have prepared the database. What is answered is to be held until nothing of
    /// this process touches the database.
    ///
    /// # Errors
    /// Somebody else came between, who has it alone or by another Redis.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is held.
    pub async fn let_others_in(self) -> Result<Self, LockError> {
        let Self::First(First { alone: DatabaseLock { file: Some(mut file) }, terms, .. }) = self else {
            return Ok(self);
        };
        // The system would change one lock into the other in two steps just the same.
        file.release()?;
        let begun = Instant::now();
        loop {
            file = match file.share(&terms, begun)? {
                Share::Granted(shared) => return Ok(Self::Beside(shared)),
                Share::NotYet(file) => file,
            };
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl First {
    fn note(&mut self, sign: Option<&str>) -> Result<(), LockError> {
        if let Some(file) = &self.alone.file {
            file.write(Some((&self.terms, sign)))?;
        }
        self.sign = sign.map(str::to_owned);
        Ok(())
    }
}

/// What stands in a lock file.
struct Note {
    terms: String,
    sign: Option<String>,
}

impl Note {
    const HEAD: &str = "cached in Redis at ";
    const SIGN: &str = "which has heard of every change if it holds the sign ";

    fn of(terms: &Terms, sign: Option<&str>) -> String {
        let sign = sign.map(|sign| format!("{}{sign}\n", Self::SIGN)).unwrap_or_default();
        format!("{}{terms}\n{sign}", Self::HEAD)
    }

    fn parse(text: &str) -> Option<Self> {
        let whole = &text[..=text.rfind('\n')?]; // a line that was cut says nothing
        let mut lines = whole.lines();
        let terms = lines.next()?.strip_prefix(Self::HEAD)?.to_owned();
        let sign = lines.next().and_then(|line| line.strip_prefix(Self::SIGN)).map(str::to_owned);
        Some(Self { terms, sign })
    }
}

enum Share {
    Granted(SharedLock),
    NotYet(LockFile),
}

/// The open lock file of a database.
#[derive(Debug)]
struct LockFile {
    file: File,
    path: PathBuf,
    database: PathBuf,
}

impl LockFile {
    fn open(database: &Path) -> Result<Self, LockError> {
        let path = lock_path(database);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        match file {
            Ok(file) => Ok(Self { file, path, database: database.to_owned() }),
            Err(source) => Err(LockError::Unusable { path, source }),
        }
    }

    fn try_alone(&self) -> Result<bool, LockError> {
        self.granted(self.file.try_lock())
    }

    fn try_shared(&self) -> Result<bool, LockError> {
        self.granted(self.file.try_lock_shared())
    }

    fn release(&self) -> Result<(), LockError> {
        self.file.unlock().map_err(|source| self.unusable(source))
    }

    fn granted(&self, tried: Result<(), TryLockError>) -> Result<bool, LockError> {
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(self.unusable(source)),
        }
    }

    fn unusable(&self, source: io::Error) -> LockError {
        LockError::Unusable { path: self.path.clone(), source }
    }

    /// A share, when those who have one have it on the same terms. Whatever is in the way is a refusal once it has stayed.
    fn share(self, terms: &Terms, begun: Instant) -> Result<Share, LockError> {
        let shared = self.try_shared()?;
        let note = self.read()?;
        let ours = note.as_ref().is_some_and(|note| note.terms == terms.to_string());
        if shared && ours {
            let sign = note.and_then(|note| note.sign);
            let terms_bytes = Note::of(terms, None).len() as u64;
            return Ok(Share::Granted(SharedLock { file: self, sign, terms_bytes }));
        }
        if shared {
            self.release()?;
        }
        // With our terms in the file, whoever has the lock alone is starting to share it.
        let limit = if ours { START_LIMIT } else { GRACE };
        if begun.elapsed() < limit {
            return Ok(Share::NotYet(self));
        }
        let database = self.database;
        Err(match note {
            Some(Note { terms: theirs, .. }) if !ours => {
                LockError::OtherTerms { database, theirs, asked: terms.clone() }
            }
            _ => LockError::Taken(database),
        })
    }

    fn read(&self) -> Result<Option<Note>, LockError> {
        let text = || -> io::Result<String> {
            let mut text = Vec::new();
            let mut file = &self.file;
            file.rewind()?;
            file.take(MAX_NOTE_BYTES).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        text().map(|text| Note::parse(&text)).map_err(|source| self.unusable(source))
    }

    /// Only under the lock that excludes everybody.
    fn write(&self, note: Option<(&Terms, Option<&str>)>) -> Result<(), LockError> {
        let text = note.map(|(terms, sign)| Note::of(terms, sign)).unwrap_or_default();
        let write = || {
            let mut file = &self.file;
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())?;
            file.sync_data() // before the database is written to
        };
        write().map_err(|source| self.unusable(source))
    }

    /// Leaves no more than so many bytes.
    fn cut(&self, bytes: u64) -> Result<(), LockError> {
        let cut = || {
            if self.file.metadata()?.len() > bytes {
                self.file.set_len(bytes)?;
                self.file.sync_data()?;
            }
            Ok(())
        };
        cut().map_err(|source| self.unusable(source))
    }
}

fn lock_path(database: &Path) -> PathBuf {
    // Two names of one file must be one lock, also when the file that a link names is not there yet.
    let mut name = database.canonicalize().unwrap_or_else(|_| end_of_links(database)).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

fn end_of_links(name: &Path) -> PathBuf {
    let mut file = name.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = file.read_link() else { break };
        file.pop(); // a link says where it leads as seen from its own directory
        file.push(target);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Settings};

    /// A database in a directory of its own, with something in its file.
    struct Desk {
        directory: tempfile::TempDir,
        url: DatabaseUrl,
    }

    impl Desk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("crm.db");
            std::fs::write(&file, "rows").unwrap();
            let url = DatabaseUrl::parse(&format!("sqlite:{}", file.display())).unwrap();
            Self { directory, url }
        }

        fn lock_file(&self) -> PathBuf {
            self.directory.path().join("crm.db.lock")
        }

        async fn ask(&self, redis: &str) -> Result<Admission, LockError> {
            Admission::ask(&self.url, Some(terms(redis))).await
        }

        /// The first process, which has emptied its Redis and let the others in.
        async fn sharing(&self, redis: &str) -> Admission {
            let mut first = self.ask(redis).await.unwrap();
            assert!(matches!(first, Admission::First(_)));
            first.redis_holds("a sign").unwrap();
            first.let_others_in().await.unwrap()
        }
    }

    fn terms(redis: &str) -> Terms {
        let layer = Layer { redis_url: Some(redis.to_owned().into()), ..Layer::default() };
        let redis = Settings::of(layer, Layer::default()).unwrap().shared_cache().unwrap();
        Terms { redis, program: "1".to_owned() }
    }

    #[tokio::test]
    async fn who_names_the_same_redis_shares_and_nobody_else() {
        let desk = Desk::new();
        let first = desk.sharing("redis://:secret@h/1").await;
        let second = desk.ask("redis://:other@h:6379/1").await.unwrap();
        assert!(matches!(second, Admission::Beside(_)) && second.sign() == Some("a sign"));
        let refused = DatabaseLock::take(&desk.url).unwrap_err();
        assert!(
            matches!(&refused, LockError::Shared { theirs, .. } if theirs == "h:6379/1 by crm 1"),
            "{refused}"
        );
        let refused = desk.ask("redis://h/2").await.unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, LockError::OtherTerms { .. }), "{said}");
        assert!(said.contains("h:6379/1") && said.contains("h:6379/2") && !said.contains("secret"), "{said}");
        drop(first);
        assert!(DatabaseLock::take(&desk.url).is_err(), "the second still has it");
        drop(second);
        let alone = DatabaseLock::take(&desk.url).unwrap();
        assert!(matches!(desk.ask("redis://h/1").await, Err(LockError::Taken(_))));
        drop(alone);
        desk.sharing("redis://h/2").await;
    }

    #[tokio::test]
    async fn others_wait_until_the_first_has_prepared_the_database() {
        let desk = Desk::new();
        let first = desk.ask("redis://h").await.unwrap();
        let (first, second) = tokio::join!(
            async {
                sleep(GRACE * 2).await; // longer than anything else may be in the way
                first.let_others_in().await.unwrap()
            },
            desk.ask("redis://h"),
        );
        assert!(matches!((first, second.unwrap()), (Admission::Beside(_), Admission::Beside(_))));
    }

    #[tokio::test]
    async fn who_comes_between_is_not_overlooked() {
        let desk = Desk::new();
        let Admission::First(First { alone, terms, .. }) = desk.ask("redis://h/1").await.unwrap() else {
            panic!("nobody else has it");
        };
        alone.file.unwrap().release().unwrap();
        let between = desk.sharing("redis://h/2").await;
        let file = LockFile::open(desk.url.file().unwrap()).unwrap();
        let first = First { alone: DatabaseLock { file: Some(file) }, terms, sign: None };
        let refused = Admission::First(first).let_others_in().await.unwrap_err();
        assert!(matches!(refused, LockError::OtherTerms { .. }), "{refused}");
        drop(between);
    }

    #[tokio::test]
    async fn a_redis_is_believed_only_while_it_has_heard_of_every_change() {
        let desk = Desk::new();
        let asked = async |redis: &str| desk.ask(redis).await.unwrap().sign().is_none();
        assert!(asked("redis://h").await, "it was never emptied");
        assert!(asked("redis://h").await, "nor was it now");
        drop(desk.sharing("redis://h").await);
        assert!(!asked("redis://h").await, "all who wrote have told it");
        drop(DatabaseLock::take(&desk.url).unwrap());
        assert!(asked("redis://h").await, "somebody else may have written");

        drop(desk.sharing("redis://h").await);
        assert!(asked("redis://h/1").await, "another one");
        assert!(asked("redis://h").await, "which has not told the first");

        drop(desk.sharing("redis://h").await);
        let mut first = desk.ask("redis://h").await.unwrap();
        assert!(first.alone().unwrap().is_some());
        assert!(first.sign().is_none(), "who is alone does not announce");
        drop(first);
        assert!(asked("redis://h").await, "and may have died on the way");

        drop(desk.sharing("redis://h").await);
        let text = std::fs::read_to_string(desk.lock_file()).unwrap();
        assert_eq!(
            text,
            "cached in Redis at h:6379/0 by crm 1\nwhich has heard of every change if it holds the sign a sign\n"
        );
        std::fs::write(desk.lock_file(), &text[..text.len() - 1]).unwrap();
        assert!(asked("redis://h").await, "the note was cut");

        drop(desk.sharing("redis://h").await);
        std::fs::remove_file(desk.url.file().unwrap()).unwrap();
        assert!(asked("redis://h").await, "it knows a database that is gone");
    }

    #[tokio::test]
    async fn a_redis_that_missed_a_change_is_believed_by_nobody_who_starts_later() {
        let desk = Desk::new();
        let (one, other) = (desk.sharing("redis://h").await, desk.ask("redis://h").await.unwrap());
        assert_eq!(other.sign(), Some("a sign"));
        for process in [&one, &other, &one] {
            process.redis_missed_a_change().unwrap();
            let third = desk.ask("redis://h").await.unwrap();
            assert!(matches!(third, Admission::Beside(_)) && third.sign().is_none());
        }
        drop((one, other));
        assert_eq!(desk.ask("redis://h").await.unwrap().sign(), None);
        drop(desk.sharing("redis://h").await);
        assert_eq!(desk.ask("redis://h").await.unwrap().sign(), Some("a sign"), "it was emptied since");
    }

    #[tokio::test]
    async fn another_program_does_not_believe_what_is_cached_and_does_not_join() {
        let desk = Desk::new();
        let newer = || Terms { program: "2".to_owned(), ..terms("redis://h") };
        let running = desk.sharing("redis://h").await;
        let refused = Admission::ask(&desk.url, Some(newer())).await.unwrap_err().to_string();
        assert!(refused.contains("by crm 1") && refused.contains("run the same `crm`"), "{refused}");
        drop(running);
        assert_eq!(Admission::ask(&desk.url, Some(newer())).await.unwrap().sign(), None);
    }

    #[tokio::test]
    async fn who_joins_before_redis_was_emptied_empties_it_too() {
        let desk = Desk::new();
        let first = desk.ask("redis://h").await.unwrap().let_others_in().await.unwrap();
        let mut second = desk.ask("redis://h").await.unwrap();
        assert!(second.sign().is_none() && second.alone().unwrap().is_none());
        drop((first, second));
    }
}
