//! Removing: by name and tag, by a glob, everything; with what is owed where it fails, and without where it is recorded elsewhere.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use redis::Pipeline;

use super::front::Front;
use super::link::Link;
use super::supervisor::Supervisor;
use super::trouble::{Trouble, integer};
use super::write;
use super::{MAX_PIPELINE, Remote};
use crate::key::{Pattern, Tag};
use crate::progress::{Progress, Watching};

/// How many keys one step of a scan looks at: some 100 µs of the server's time.
const SCAN_COUNT: usize = 500;

/// 1 hour: nobody waits longer for replicas.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

impl Remote {
    /// Removes everything, by a new era: in two round trips, at any number of entries.
    ///
    /// # Errors
    /// Without an answer, this process owes the new era, and begins it before it serves anything from Redis.
    ///
    /// # Cancel safety
    /// Dropped before its answer, it owes the new era too.
    pub(crate) async fn clear(&self) -> Result<(), Trouble> {
        let _clears = Clears(Some(self.front()));
        let owing = Owing::era(&self.supervisor);
        let link = self.supervisor.link()?;
        write::clear(&link, self.supervisor.names()).await?;
        owing.paid(&link);
        Ok(())
    }

    /// Removes every name that matches a glob and `is_meant`, looking through all keys in steps of [`SCAN_COUNT`], and answers how many keys
    /// it removed; `Break` where whoever watches stopped it. Keys of the library never match. A load that is under way is found by
    /// its lease.
    ///
    /// # Errors
    /// Without an answer to each step, this process owes a new era, as for [`remove`](Self::remove).
    ///
    /// # Cancel safety
    /// Dropped before its end, it has removed some and not others, and owes a new era.
    pub(crate) async fn remove_matching(
        &self,
        glob: &str,
        is_meant: impl Fn(&str) -> bool,
        watch: Option<Watching>,
    ) -> Result<ControlFlow<u64, u64>, Trouble> {
        let clears = Clears(Some(self.front())); // which copies match is not known here, unless all of it is done
        let owing = Owing::era(&self.supervisor);
        let link = self.supervisor.link_for_removal()?;
        let removed = self.look_through(&link, glob, is_meant, watch).await?;
        if removed.is_continue() {
            // By names that are there now: an older state may have others.
            self.supervisor.owed().cleared();
        }
        owing.forgiven(); // who stops it is told that it is not done
        if removed.is_continue() && link.identity.is_tracked {
            clears.not(); // what was there has been removed by its name, and what was gone was told
        }
        Ok(removed)
    }

    async fn look_through(
        &self,
        link: &Arc<Link>,
        glob: &str,
        is_meant: impl Fn(&str) -> bool,
        mut watch: Option<Watching>,
    ) -> Result<ControlFlow<u64, u64>, Trouble> {
        let names = self.supervisor.names();
        let pattern = Pattern::new(glob);
        let globs = names.globs(glob);
        let of = match &watch {
            Some(_) => self.keys(link).await?.map(|keys| keys * globs.len() as u64),
            None => None,
        };
        let (mut removed, mut looked_at) = (0, 0);
        for glob in globs {
            let mut cursor = 0;
            loop {
                let (next, keys) = write::scan(link, &glob, cursor, SCAN_COUNT).await?;
                let found = keys.iter().filter_map(|key| names.name_of(key));
                // `!k*` finds `!k:!odd`, whose name is `!odd`.
                let found: Vec<&str> = found.filter(|name| pattern.matches(name) && is_meant(name)).collect();
                let _changes = Changes::of(self.front(), &found, &[]);
                let keys = self.keys_of(&found, &[]);
                removed += unlink(link, &keys).await?;
                looked_at += SCAN_COUNT as u64;
                let looked_at = of.map_or(looked_at, |of| looked_at.min(of));
                cursor = next;
                let goes_on = watch.as_mut().is_none_or(|watch| {
                    let progress = Progress { looked_at, of, removed };
                    // One that panics stops it, and takes nothing else along.
                    catch_unwind(AssertUnwindSafe(|| watch(progress))).is_ok_and(|flow| flow.is_continue())
                });
                if !goes_on {
                    return Ok(ControlFlow::Break(removed));
                }
                if cursor == 0 {
                    break;
                }
            }
        }
        link.check()?; // all of it was looked through on one life of one server
        Ok(ControlFlow::Continue(removed))
    }

    /// How many keys there are; `None` where this user may not ask.
    async fn keys(&self, link: &Arc<Link>) -> Result<Option<u64>, Trouble> {
        match link.believe(integer(&link.ask(redis::cmd("DBSIZE")).await?)) {
            Ok(keys) => Ok(Some(keys.unsigned_abs())),
            Err(Trouble::Forbidden(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Removes names and invalidates tags, in one round trip for each [`MAX_PIPELINE`] of them. Answers how many keys were
    /// there, leases among them.
    ///
    /// # Errors
    /// Without an answer to each, nobody knows what is removed, and this process owes it: it serves nothing from Redis before it
    /// has seen all of it removed there, or has begun a new era.
    ///
    /// # Cancel safety
    /// Dropped before its answer, it owes that too.
    pub(crate) async fn remove(&self, names: &[impl AsRef<str>], tags: &[Tag]) -> Result<u64, Trouble> {
        let _changes = Changes::of(self.front(), names, tags);
        let keys = self.keys_of(names, tags);
        let owing = Owing::removal(&self.supervisor, keys.clone());
        let link = self.supervisor.link_for_removal()?;
        let removed = unlink(&link, &keys).await?;
        owing.paid(&link);
        Ok(removed)
    }

    /// As [`remove`](Self::remove), and waits until so many replicas have it, for `limit` at most. Answers whether they do.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    ///
    /// # Cancel safety
    /// As [`remove`](Self::remove).
    pub(crate) async fn remove_replicated(
        &self,
        names: &[impl AsRef<str>],
        tags: &[Tag],
        replicas: u32,
        limit: Duration,
    ) -> Result<bool, Trouble> {
        let _changes = Changes::of(self.front(), names, tags);
        let keys = self.keys_of(names, tags);
        if keys.is_empty() {
            return Ok(true);
        }
        let owing = Owing::removal(&self.supervisor, keys.clone());
        let link = self.supervisor.link_for_removal()?;
        if let Ok(have) = self.remove_beside(&link, &keys, replicas, limit).await {
            owing.paid(&link);
            return Ok(have >= i64::from(replicas));
        }
        // What is wrong with the other connection says nothing of this one.
        let removed = unlink(&link, &keys).await;
        removed.map(|_| owing.paid(&link)).map(|()| false)
    }

    /// Removes keys over another connection, which then waits for replicas; answers how many have it.
    async fn remove_beside(
        &self,
        link: &Arc<Link>,
        keys: &[String],
        replicas: u32,
        limit: Duration,
    ) -> Result<i64, Trouble> {
        let limit = limit.min(LONGEST_WAIT);
        let mut commands = Pipeline::with_capacity(keys.len() + 1);
        for key in keys {
            commands.cmd("UNLINK").arg(key);
        }
        // On another connection it would say nothing of these.
        commands.cmd("WAIT").arg(replicas).arg(limit.as_millis().max(1));
        // One waits behind the other there; its time begins with its turn. It is put back when it has answered.
        let mut beside = link.beside.lock().await;
        let wire = match beside.take() {
            Some(wire) => wire,
            None => self.supervisor.beside(link).await?,
        };
        let answers = tokio::time::timeout_at(link.deadline() + limit, wire.send(&commands)).await;
        let answers = answers.unwrap_or(Err(Trouble::TimedOut))?;
        *beside = Some(wire);
        drop(beside);
        answers.iter().try_fold(0, |_, answer| integer(answer)) // that of the last is how many
    }

    /// The connection that may be served from.
    pub(crate) fn link(&self) -> Result<Arc<Link>, Trouble> {
        self.supervisor.link()
    }

    /// The connection for what is recorded elsewhere, and repeated where it fails.
    pub(crate) fn link_for_removal(&self) -> Result<Arc<Link>, Trouble> {
        self.supervisor.link_for_removal()
    }

    /// As [`remove`](Self::remove), over this connection, for whoever repeats it where it fails: nothing is owed.
    ///
    /// # Cancel safety
    /// Dropped before its answer, nobody knows what is removed.
    pub(crate) async fn apply(
        &self,
        link: &Link,
        names: &[impl AsRef<str>],
        tags: &[Tag],
    ) -> Result<(), Trouble> {
        let _changes = Changes::of(self.front(), names, tags);
        let removed = unlink(link, &self.keys_of(names, tags)).await;
        removed.map(drop).map_err(|trouble| doubt(link, trouble))
    }

    /// As [`remove_matching`](Self::remove_matching), for whoever repeats it where it fails: nothing is owed.
    ///
    /// # Cancel safety
    /// Dropped before its end, it has removed some and not others.
    pub(crate) async fn apply_matching(
        &self,
        link: &Arc<Link>,
        glob: &str,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<(), Trouble> {
        let _clears = Clears(Some(self.front()));
        let removed = self.look_through(link, glob, is_meant, None).await;
        removed.map(drop).map_err(|trouble| doubt(link, trouble))
    }

    /// As [`clear`](Self::clear), for whoever repeats it where it fails: nothing is owed.
    ///
    /// # Cancel safety
    /// Dropped before its answer, the era may have begun or not.
    pub(crate) async fn apply_clear(&self, link: &Arc<Link>) -> Result<(), Trouble> {
        let _clears = Clears(Some(self.front()));
        write::clear(link, self.supervisor.names()).await.map_err(|trouble| link.give_up(trouble))
    }

    /// Notes over this connection up to where every change has been heard of.
    ///
    /// # Cancel safety
    /// It may be noted or not.
    pub(crate) async fn mark(&self, link: &Link, watermark: &[u8]) -> Result<(), Trouble> {
        self.supervisor.mark(link, watermark).await
    }

    /// The keys of these names and tags.
    fn keys_of(&self, names: &[impl AsRef<str>], tags: &[Tag]) -> Vec<String> {
        let of = self.supervisor.names();
        let entries = names.iter().map(|name| of.entry(name.as_ref()).into_owned());
        entries.chain(tags.iter().map(|tag| of.tag(*tag))).collect()
    }
}

/// Hands on why a recorded removal failed. Nobody reads on that connection any more before it has been made up for, unless this user may
/// not do it at all: then a new era has to.
fn doubt(link: &Link, trouble: Trouble) -> Trouble {
    if matches!(trouble, Trouble::Forbidden(_)) { trouble } else { link.give_up(trouble) }
}

/// Removes keys, and answers how many there were.
pub(super) async fn unlink(link: &Link, keys: &[String]) -> Result<u64, Trouble> {
    let mut removed = 0;
    for keys in keys.chunks(MAX_PIPELINE) {
        let mut commands = Pipeline::with_capacity(keys.len());
        for key in keys {
            commands.cmd("UNLINK").arg(key);
        }
        for answer in link.send(&commands, link.deadline()).await? {
            removed += link.believe(integer(&answer))?.unsigned_abs();
        }
    }
    Ok(removed)
}

/// A change of what lies under some names, and of what depends on some tags. At its end, however it went, their copies end too:
/// whoever is told of the change finds the new value.
pub(super) struct Changes<'a, N: AsRef<str>> {
    front: &'a Front,
    names: &'a [N],
    tags: &'a [Tag],
}

impl<'a, N: AsRef<str>> Changes<'a, N> {
    pub(super) fn of(front: &'a Front, names: &'a [N], tags: &'a [Tag]) -> Self {
        Changes { front, names, tags }
    }
}

impl<N: AsRef<str>> Drop for Changes<'_, N> {
    fn drop(&mut self) {
        self.front.changed(self.names.iter().map(AsRef::as_ref), self.tags);
    }
}

/// A removal of everything, or of nobody knows what, at whose end all copies end.
struct Clears<'a>(Option<&'a Front>);

impl Clears<'_> {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Clears<'_> {
    fn drop(&mut self) {
        if let Some(front) = self.0 {
            front.cleared();
        }
    }
}

/// The removal of a name by whoever is about to do more. Dropped before it is [told](Self::told), the name is removed.
pub(crate) struct RemoveUnlessTold<'r> {
    remote: &'r Remote,
    name: Option<&'r str>,
}

impl<'r> RemoveUnlessTold<'r> {
    pub(super) fn new(remote: &'r Remote, name: &'r str) -> Self {
        RemoveUnlessTold { remote, name: Some(name) }
    }

    /// It is seen to.
    pub(crate) fn told(mut self) {
        self.name = None;
    }
}

impl Drop for RemoveUnlessTold<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let (removes, name) = (self.remote.clone(), name.to_owned());
            // Where it fails, it is owed.
            self.remote.errands.run(async move { drop(removes.remove(&[name], &[]).await) });
        }
    }
}

/// A removal whose outcome is not known yet. Dropped, it is owed.
pub(super) struct Owing<'a> {
    supervisor: &'a Supervisor,
    /// What is owed, until it is settled.
    debt: Option<Debt>,
}

/// What a removal that was not acknowledged owes.
pub(super) enum Debt {
    Era,
    Keys(Vec<String>),
}

impl<'a> Owing<'a> {
    pub(super) fn removal(supervisor: &'a Supervisor, keys: Vec<String>) -> Self {
        Owing { supervisor, debt: Some(Debt::Keys(keys)) }
    }

    pub(super) fn era(supervisor: &'a Supervisor) -> Self {
        Owing { supervisor, debt: Some(Debt::Era) }
    }

    /// It was acknowledged over this link.
    pub(super) fn paid(mut self, link: &Link) {
        match self.debt.take() {
            Some(Debt::Keys(keys)) => self.supervisor.acknowledge(link, keys),
            Some(Debt::Era) => self.supervisor.owed().cleared(),
            None => {}
        }
    }

    /// Nothing is owed for it.
    pub(super) fn forgiven(mut self) {
        self.debt = None;
    }
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        if let Some(debt) = self.debt.take() {
            self.supervisor.owe(debt);
        }
    }
}
