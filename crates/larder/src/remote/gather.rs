//! Group commit: what is asked while other questions are under way leaves together.
//!
//! A question that finds none under way leaves at once, in its caller's own task. Any other waits, for one turn of the scheduler at
//! most, and leaves with all that came meanwhile: one pipeline, in which the root and each token are asked for once, behind everything
//! else. What is in force there was in force when an entry was read before, since no token and no root comes back; and a load
//! begins after its answer, so that it was captured before the load all the same.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use rand::RngExt;
use redis::{Arg, Cmd, Pipeline};
use tokio::sync::oneshot;

use super::MAX_PIPELINE;
use super::left_behind::{LeftBehind, take_back};
use super::link::Link;
use super::names::Names;
use super::read::{Capture, InForce, LEASE_MS, Untold};
use super::reply::Reply;
use super::root::{Token, token_hash};
use super::sizes::Sizes;
use super::trouble::{Trouble, string};
use crate::clock::Clock;
use crate::entry::{self, Word};
use crate::key::{Tag, TagHasher};

/// 7 days: how long the token of a tag that nobody invalidates is kept. Losing it costs loads and is never stale.
const TOKEN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// What the arguments of a `SET` of a lease or a token take beside the key, in bytes: exact enough to allocate once.
const SET_BYTES: usize = 48;

/// 1 MiB: how many bytes one pipeline sends at most, if it is more than one question.
const MAX_PIPELINE_BYTES: usize = 1 << 20;

/// How many pipelines of one batch, or of one flush, are under way at once: the deadline of the next begins when it is sent, and it is behind
/// them that the server runs it.
const AT_ONCE: usize = 4;

/// How many tags are known to have a token: some 500 KiB.
const MAX_HAD: usize = 1 << 14;

/// What the key of a tag takes in a command, in bytes: exact enough to allocate once.
const TAG_BYTES: usize = 24;

/// What is asked in one go.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) what: What<'a>,
    /// The tags whose tokens are asked for.
    pub(super) tags: &'a [Tag],
    pub(super) tokens: Tokens,
    /// The key is registered before it is read, so that this process is told when it changes.
    pub(super) registers: bool,
}

/// What becomes of a tag that has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tokens {
    /// It stays without: nothing that depends on it is in force.
    AsTheyAre,
    /// It gets one, unless it had one lately: to read it costs less, and if it is gone, whoever loads asks once more.
    PutNew,
    /// It gets one.
    Put,
}

/// What is asked beside what is in force.
#[derive(Debug)]
pub(super) enum What<'a> {
    Nothing,
    /// What lies under a key.
    Look(&'a str),
    /// The same; where there is nothing, this lease is left.
    Lease(&'a str, Word),
    /// That these commands are run, in one go. The answer is that of the last, or the first error before it.
    Run(Vec<Cmd>),
}

impl<'a> Question<'a> {
    /// How many bytes it sends, about.
    fn bytes(&self) -> usize {
        match &self.what {
            What::Nothing => 0,
            What::Look(key) | What::Lease(key, _) => key.len(),
            What::Run(commands) => {
                commands.iter().flat_map(Cmd::args_iter).map(|argument| bytes_of(&argument)).sum()
            }
        }
    }

    /// The key of the lease that may be left, and its word.
    pub(super) fn lease(&self) -> Option<(&'a str, Word)> {
        match self.what {
            What::Lease(key, word) => Some((key, word)),
            _ => None,
        }
    }
}

/// What Redis said, and what was in force then.
pub(super) type Answer = Result<(Said, Arc<Capture>), Trouble>;

/// What Redis said to one question.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) value: Reply,
    /// How long what lies there still lives, in milliseconds, if the key was registered; `u64::MAX` is for ever.
    pub(super) left_ms: Option<u64>,
}

/// The questions of one connection.
#[derive(Debug)]
pub(super) struct Gather {
    state: Mutex<State>,
    sizes: Arc<Sizes>,
}

#[derive(Debug, Default)]
struct State {
    /// Pipelines that are not answered yet.
    under_way: usize,
    /// What leaves next: several batches only where one cannot hold it.
    waiting: Vec<(Batch, Vec<oneshot::Sender<Delivery>>)>,
    /// The tokens that tags had when they were last asked for, or some time before.
    had: HashMap<Tag, Token, BuildHasherDefault<TagHasher>>,
}

impl Gather {
    pub(super) fn new(sizes: Arc<Sizes>) -> Self {
        Gather { state: Mutex::default(), sizes }
    }

    /// Notes how large the entries of one pipeline are, so that the next holds as many as it should.
    fn note(&self, answers: &[Reply]) {
        let sizes = answers.iter().filter_map(|answer| match answer {
            Reply::Bytes(bytes) => Some(bytes.len()),
            _ => None,
        });
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
        if let Some(mean) = usize::checked_div(bytes, count) {
            self.sizes.note(mean);
        }
    }

    /// What is likely to be in force for these tags: what it was when it was last heard of. `None` where one of them is not known.
    pub(super) fn guess(link: &Arc<Link>, tags: &[Tag]) -> Option<Capture> {
        let root = link.latest_root()?;
        let state = link.questions.state.lock();
        let in_force = |tag: &Tag| {
            let token = *state.had.get(tag)?;
            let token = Some((token, token_hash(token, root.era)));
            Some((*tag, InForce { token, is_registered: false }))
        };
        let tokens = tags.iter().map(in_force).collect::<Option<_>>()?;
        Some(Capture { link: Arc::clone(link), root, tokens, untold: Vec::new() })
    }

    /// Notes which tags have a token, and which had one and have none.
    fn note_tokens(&self, put: &[(Tag, Token)], told: &[(Tag, Option<Token>)]) {
        if put.is_empty() && told.iter().all(|(_, token)| token.is_some()) {
            return; // they had one before, or do not need one: whoever guesses makes sure
        }
        let mut state = self.state.lock();
        if state.had.len() + told.len() > MAX_HAD {
            state.had.clear();
        }
        for (tag, token) in told {
            match token {
                Some(token) => state.had.insert(*tag, *token),
                None => state.had.remove(tag),
            };
        }
    }

    #[cfg(test)]
    pub(super) fn is_under_way(&self) -> bool {
        self.state.lock().under_way > 0
    }
}

/// A pipeline that is under way.
struct UnderWay<'a>(&'a Gather);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state.lock().under_way -= 1;
    }
}

/// Asks, alone or together with others.
///
/// # Cancel safety
/// A lease that was left is taken back.
pub(super) async fn ask(link: &Arc<Link>, names: &Arc<Names>, question: Question<'_>) -> Answer {
    let mut is_first = false;
    let way = {
        let mut state = link.questions.state.lock();
        if state.under_way == 0 {
            state.under_way = 1;
            Ok(question)
        } else {
            is_first = state.waiting.is_empty();
            let (sender, answer) = oneshot::channel();
            let (waiting, sizes) = (&mut state.waiting, &link.questions.sizes);
            // From the last: those before it are full, but for one of the other kind.
            let fits = waiting.iter().rposition(|(batch, _)| batch.has_room_for(&question, sizes));
            let (batch, senders) = match fits {
                Some(at) => &mut waiting[at],
                None => waiting.push_mut(Default::default()),
            };
            batch.add(question);
            senders.push(sender);
            Err(answer)
        }
    };
    if is_first {
        link.errands
            .run_unwaited(Flush { link: Arc::clone(link), names: Arc::clone(names), took: false }.run());
    }
    match way {
        Ok(question) => {
            let _under_way = UnderWay(&link.questions);
            // It is large, and those that wait for a flush have no need of it.
            let answer = Box::pin(ask_together(link, names, vec![question])).await.pop();
            answer.unwrap_or(Err(Trouble::Garbled))
        }
        // Whoever sends it has a deadline for all of them.
        Err(answer) => answer.await.map_or_else(|_dropped| Err(Trouble::ended()), Delivery::take),
    }
}

/// Asks several questions, in one round trip for as many as fit into a pipeline; the answers are in their order.
///
/// # Cancel safety
/// Leases that were left are taken back.
pub(super) async fn ask_together(
    link: &Arc<Link>,
    names: &Names,
    questions: Vec<Question<'_>>,
) -> Vec<Answer> {
    let left = LeftBehind::of(link, questions.iter().filter_map(Question::lease));
    let sizes = &*link.questions.sizes;
    let mut batches: Vec<Batch> = Vec::new();
    for question in questions {
        let batch = match batches.last_mut() {
            Some(batch) if batch.has_room_for(&question, sizes) => batch,
            _ => batches.push_mut(Batch::default()),
        };
        batch.add(question);
    }
    let sent = batches.into_iter().map(|batch| async move {
        let mut answers = Vec::with_capacity(batch.entries.len());
        batch.send(link, names, |_, _, answer| answers.push(answer)).await;
        answers
    });
    let answers = stream::iter(sent).buffered(AT_ONCE).collect::<Vec<_>>().await;
    left.told();
    answers.into_iter().flatten().collect()
}

/// What sends the questions that have gathered. Dropped before it took them, as with a runtime that ends, it leaves nobody waiting.
struct Flush {
    link: Arc<Link>,
    names: Arc<Names>,
    took: bool,
}

impl Flush {
    /// It is run as an errand, so that nobody's answer hangs on whether another caller stays.
    async fn run(mut self) {
        tokio::task::yield_now().await; // whoever is ready now comes along
        let waiting = {
            let mut state = self.link.questions.state.lock();
            state.under_way += 1;
            self.took = true;
            std::mem::take(&mut state.waiting)
        };
        let link = &self.link;
        let _under_way = UnderWay(&link.questions);
        let sent = waiting.into_iter().map(|(batch, senders)| {
            let mut senders = senders.into_iter();
            batch.send(link, &self.names, move |batch, entry, answer| {
                let Some(sender) = senders.next() else { return };
                sender.send(batch.deliver(entry, answer)).ok(); // where whoever asked went away, it is dropped
            })
        });
        stream::iter(sent).buffered(AT_ONCE).for_each(async |()| {}).await;
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if !self.took {
            let nobody_asks_for = std::mem::take(&mut self.link.questions.state.lock().waiting);
            drop(nobody_asks_for); // not under the lock: whoever waits is woken
        }
    }
}

/// An answer on its way to who asked. Dropped before it was taken, which is when they went away, before or after it was sent, a
/// lease that they left is taken back.
#[derive(Debug)]
struct Delivery {
    answer: Answer,
    left: Option<Box<(String, Word)>>,
}

impl Delivery {
    fn take(mut self) -> Answer {
        self.left = None;
        std::mem::replace(&mut self.answer, Err(Trouble::Garbled))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let (Some(left), Ok((_nil, capture))) = (self.left.take(), &self.answer) {
            take_back(&capture.link, vec![*left]);
        }
    }
}

/// Questions that leave in one pipeline, and the tags whose tokens they ask for. Reads and what is run leave apart, since nobody is
/// answered before the pipeline is.
#[derive(Debug, Default)]
struct Batch {
    commands: Pipeline,
    bytes: usize,
    runs: bool,
    entries: Vec<Entry>,
    tags: HashMap<Tag, Asked, BuildHasherDefault<TagHasher>>,
}

/// Which commands are those of a question.
#[derive(Clone, Copy, Debug)]
struct Entry {
    from: usize,
    to: usize,
    lease: Option<Word>,
    registers: bool,
}

/// What the questions want of one tag.
#[derive(Clone, Copy, Debug)]
struct Asked {
    least: Tokens,
    most: Tokens,
}

/// The commands that ask for tokens.
#[derive(Default)]
struct Tokening {
    /// These are read, in one command. It registers them, so that what is told of them is told of what was read.
    read: Vec<Tag>,
    /// What is put for each of these, if it has none.
    put: Vec<(Tag, Token)>,
}

impl Batch {
    /// Whether its pipeline can hold this one too, if entries are as large as they were. One question always fits.
    fn has_room_for(&self, question: &Question<'_>, sizes: &Sizes) -> bool {
        let commands = self.commands.len() + self.tags.len() + question.tags.len() + 5;
        self.entries.is_empty()
            || (self.runs == matches!(question.what, What::Run(_))
                && commands <= MAX_PIPELINE
                && self.bytes + question.bytes() <= MAX_PIPELINE_BYTES
                && sizes.have_room_for(self.entries.len() + 1))
    }

    fn add(&mut self, question: Question<'_>) {
        self.bytes += question.bytes();
        let Question { what, tags, tokens, registers } = question;
        let from = self.commands.len();
        let mut left = None;
        if let (true, What::Look(key) | What::Lease(key, _)) = (registers, &what) {
            self.commands.cmd("PTTL").arg(*key);
        }
        match what {
            What::Nothing => {}
            What::Look(key) => {
                let mut look = Cmd::with_capacity(2, "GETEX".len() + key.len());
                look.arg("GETEX").arg(key);
                self.commands.add_command(look);
            }
            What::Lease(key, word) => {
                left = Some(word);
                // What is in the lease beside its word is told by nobody to anybody.
                let bytes = entry::lease(word, entry::Era([0; 8]));
                self.commands.add_command(set_absent(key, &bytes, LEASE_MS));
            }
            What::Run(commands) => {
                self.runs = true;
                for command in commands {
                    self.commands.add_command(command);
                }
            }
        }
        self.entries.push(Entry { from, to: self.commands.len(), lease: left, registers });
        for tag in tags {
            let asked = self.tags.entry(*tag).or_insert(Asked { least: tokens, most: tokens });
            *asked = Asked { least: asked.least.min(tokens), most: asked.most.max(tokens) };
        }
    }

    /// Whether a copy is to be kept of what one of its questions finds: then tokens and root are registered too.
    fn registers(&self) -> bool {
        self.entries.iter().any(|entry| entry.registers)
    }

    /// Sends the pipeline, and gives each question its answer, in their order.
    async fn send(mut self, link: &Arc<Link>, names: &Names, mut give: impl FnMut(&Self, Entry, Answer)) {
        let (deadline, sent_ms) = (link.deadline(), Clock::system().now_ms());
        let tokens_from = self.commands.len();
        let tokening = self.ask_for_tokens(link, names);
        if self.registers() {
            self.commands.cmd("PTTL").arg(names.root()); // so that this process is told of another era
        }
        self.commands.cmd("GETEX").arg(names.root());
        let mut told = match link.send(&self.commands, deadline).await {
            Ok(mut answers) => {
                let in_force = answers.drain(tokens_from..);
                let captured = capture(link, names, tokening, in_force, sent_ms);
                link.questions.note(&answers);
                captured.map(|(capture, damaged)| (capture, damaged, answers))
            }
            Err(trouble) => {
                if trouble == Trouble::TimedOut {
                    link.questions.sizes.were_too_many(self.entries.len());
                }
                Err(trouble)
            }
        };
        if let Ok((_, damaged, _)) = &mut told
            && !damaged.is_empty()
            && let Err(trouble) = link.send(damaged, deadline).await
        {
            link.give_up(trouble);
        }
        for entry in &self.entries {
            let answer = match &mut told {
                Err(trouble) => Err(trouble.clone()),
                Ok((capture, _, answers)) => {
                    Ok((entry.said(&mut answers[entry.from..entry.to]), Arc::clone(capture)))
                }
            };
            give(&self, *entry, answer);
        }
    }

    /// Adds what asks for tokens. A full server refuses to put one even where one is, so that whoever does not want it put has it
    /// read as well.
    fn ask_for_tokens(&mut self, link: &Link, names: &Names) -> Tokening {
        let mut tokening = Tokening::default();
        if self.tags.is_empty() {
            return tokening;
        }
        let registers = self.registers();
        let state = link.questions.state.lock();
        for (tag, Asked { least, most }) in &self.tags {
            let puts = *most == Tokens::Put || (*most == Tokens::PutNew && !state.had.contains_key(tag));
            if puts {
                tokening.put.push((*tag, rand::rng().random::<u64>().to_be_bytes()));
            }
            if !puts || *least == Tokens::AsTheyAre || registers {
                tokening.read.push(*tag);
            }
        }
        drop(state);
        if !tokening.read.is_empty() {
            let mut read = Cmd::with_capacity(1 + tokening.read.len(), TAG_BYTES * tokening.read.len());
            read.arg("MGET");
            for tag in &tokening.read {
                read.arg(names.tag(*tag));
            }
            self.commands.add_command(read);
        }
        for (tag, drawn) in &tokening.put {
            self.commands.add_command(set_absent(&names.tag(*tag), drawn, TOKEN_MS));
        }
        tokening
    }

    /// Makes an answer ready to go to who asked.
    fn deliver(&self, entry: Entry, answer: Answer) -> Delivery {
        let left = match (&answer, entry.lease) {
            (Ok((Said { value: Reply::Nil, .. }, _)), Some(word)) => {
                self.key(entry.from).map(|key| Box::new((key, word)))
            }
            _ => None,
        };
        Delivery { answer, left }
    }

    /// The key that a command is about.
    fn key(&self, at: usize) -> Option<String> {
        match self.commands.cmd_iter().nth(at)?.args_iter().nth(1)? {
            Arg::Simple(key) => String::from_utf8(key.to_vec()).ok(),
            _ => None,
        }
    }
}

/// Reads what was in force, and what removes that which is no token under the keys of tags.
fn capture(
    link: &Arc<Link>,
    names: &Names,
    Tokening { read, put }: Tokening,
    mut answers: impl Iterator<Item = Reply>,
    sent_ms: u64,
) -> Result<(Arc<Capture>, Pipeline), Trouble> {
    let mut damaged = Pipeline::new();
    let mut told: Vec<(Tag, Option<Token>)> = Vec::with_capacity(put.len() + read.len());
    let mut untold = Vec::new();
    let mut token = |tag, bytes: Vec<u8>| {
        let token = Token::try_from(bytes).ok();
        if token.is_none() {
            damaged.cmd("UNLINK").arg(names.tag(tag));
        }
        (tag, token)
    };
    if !read.is_empty() {
        match answers.next() {
            Some(Reply::Array(values)) if values.len() == read.len() => {
                for (tag, value) in read.iter().zip(values) {
                    match string(value) {
                        Ok(Some(bytes)) => told.push(token(*tag, bytes)),
                        _nothing => told.push((*tag, None)), // also where it is of another type
                    }
                }
            }
            Some(Reply::Error(refusal)) => {
                let trouble =
                    link.believe::<()>(Err(Trouble::from(&refusal))).err().unwrap_or(Trouble::Garbled);
                let untold_tag =
                    |tag: &Tag| Untold { tag: *tag, trouble: trouble.clone(), wanted_put: false };
                untold.extend(read.iter().map(untold_tag));
            }
            _ => return Err(link.give_up(Trouble::Garbled)),
        }
    }
    let were_read = told.len();
    for (tag, drawn) in &put {
        match string(answers.next().unwrap_or(Reply::Nil)) {
            Ok(None) => told.push((*tag, Some(*drawn))),
            Ok(Some(bytes)) => told.push(token(*tag, bytes)),
            Err(Trouble::WrongType) => told.push(token(*tag, Vec::new())),
            Err(trouble) => {
                let trouble = link.believe::<()>(Err(trouble)).err().unwrap_or(Trouble::Garbled);
                untold.push(Untold { tag: *tag, trouble, wanted_put: true });
            }
        }
    }
    let root = link.root(answers.last().unwrap_or(Reply::Nil), sent_ms)?;
    link.questions.note_tokens(&put, &told);
    let mut tokens = HashMap::with_capacity_and_hasher(told.len(), BuildHasherDefault::default());
    for (at, (tag, token)) in told.into_iter().enumerate() {
        let token = token.map(|token| (token, token_hash(token, root.era)));
        let is_registered = at < were_read; // by being read
        let known = tokens.entry(tag).or_insert(InForce { token, is_registered });
        known.token = known.token.or(token); // one that was put where none was read
    }
    Ok((Arc::new(Capture { link: Arc::clone(link), root, tokens, untold }), damaged))
}

impl Entry {
    /// The first error among the answers to its commands, else the last of them; nothing where there are none.
    fn said(self, answers: &mut [Reply]) -> Said {
        let (registered, answers) = answers.split_at_mut(usize::from(self.registers).min(answers.len()));
        let left_ms = match registered {
            [Reply::Int(-1)] => Some(u64::MAX),
            [Reply::Int(left_ms)] => u64::try_from(*left_ms).ok(),
            _ => None,
        };
        let last = answers.len().saturating_sub(1);
        let at = answers.iter().position(|answer| matches!(answer, Reply::Error(_))).unwrap_or(last);
        let value = answers.get_mut(at).map_or(Reply::Nil, |answer| std::mem::replace(answer, Reply::Nil));
        Said { value, left_ms }
    }
}

fn bytes_of(argument: &Arg<&[u8]>) -> usize {
    match argument {
        Arg::Simple(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Sets what is not there, and answers what is.
fn set_absent(key: &str, bytes: &[u8], ms: u64) -> Cmd {
    let mut set = Cmd::with_capacity(7, SET_BYTES + key.len());
    set.arg("SET").arg(key).arg(bytes).arg("NX").arg("GET").arg("PX").arg(ms);
    set
}
