//! Group commit: what is asked while other questions are under way leaves together.
//!
//! A question that finds none under way leaves at once, in its caller's own task. Any other waits, for one turn of the scheduler at
//! most, and leaves with all that came meanwhile: one pipeline, in which the root and each token stand once, behind everything
//! else. What is in force there was in force when an entry was read before, since no token and no root comes back; and a load
//! begins after its answer, so that it was captured before the load all the same.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use rand::RngExt;
use redis::{Arg, Cmd, Pipeline, Value};
use tokio::sync::oneshot;

use super::MAX_PIPELINE;
use super::link::Link;
use super::names::Names;
use super::read::{Capture, Captured, LEASE_MS};
use super::root::{Root, Token, token_hash};
use super::script::RELEASE;
use super::trouble::{Trouble, string};
use crate::entry::{self, Word};
use crate::key::{Tag, TagHasher};

/// 7 days: how long the token of a tag that nobody invalidates is kept. Losing it costs loads and is never stale.
const TOKEN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// What the arguments of a `SET` of a lease or a token take beside the key, in bytes: exact enough to allocate once.
const SET_BYTES: usize = 48;

/// 1 MiB: how many bytes one pipeline sends at most, if it is more than one question.
const MAX_PIPELINE_BYTES: usize = 1 << 20;

/// What is asked in one go.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) what: What<'a>,
    /// The tags whose tokens are asked for. One that has none gets one, if `may_put` is said.
    pub(super) tags: &'a [Tag],
    pub(super) may_put: bool,
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
    /// The key of the lease that may be left, and its word.
    pub(super) fn lease(&self) -> Option<(&'a str, Word)> {
        match self.what {
            What::Lease(key, word) => Some((key, word)),
            _ => None,
        }
    }
}

/// What Redis said, and what was in force then.
pub(super) type Answer = Result<(Value, Arc<Capture>), Trouble>;

/// The questions of one connection.
#[derive(Debug, Default)]
pub(super) struct Gather(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Pipelines that are not answered yet.
    under_way: usize,
    /// What leaves next: several batches only where one cannot hold it.
    waiting: Vec<(Batch, Vec<oneshot::Sender<Delivery>>)>,
}

#[cfg(test)]
impl Gather {
    pub(super) fn is_under_way(&self) -> bool {
        self.0.lock().under_way > 0
    }
}

/// A pipeline that is under way.
struct UnderWay<'a>(&'a Gather);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.lock().under_way -= 1;
    }
}

/// Asks, alone or together with others.
///
/// # Cancel safety
/// A lease that was left is taken back.
pub(super) async fn ask(link: &Arc<Link>, names: &Arc<Names>, question: Question<'_>) -> Answer {
    let mut is_first = false;
    let way = {
        let mut state = link.reads.0.lock();
        if state.under_way == 0 {
            state.under_way = 1;
            Ok(question)
        } else {
            is_first = state.waiting.is_empty();
            let (sender, answer) = oneshot::channel();
            let (batch, senders) = match state.waiting.last_mut() {
                Some((batch, _)) if !batch.has_room_for(&question) => {
                    state.waiting.push_mut(Default::default())
                }
                Some(waiting) => waiting,
                None => state.waiting.push_mut(Default::default()),
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
            let _under_way = UnderWay(&link.reads);
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
    let untold = Untold::of(link, &questions);
    let mut answers = Vec::with_capacity(questions.len());
    let mut batch = Batch::default();
    for question in questions {
        if !batch.has_room_for(&question) {
            std::mem::take(&mut batch).send(link, names, |answer| answers.push(answer.take())).await;
        }
        batch.add(question);
    }
    batch.send(link, names, |answer| answers.push(answer.take())).await;
    untold.told();
    answers
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
            let mut state = self.link.reads.0.lock();
            state.under_way += 1;
            self.took = true;
            std::mem::take(&mut state.waiting)
        };
        let link = &self.link;
        let _under_way = UnderWay(&link.reads);
        join_all(waiting.into_iter().map(|(batch, senders)| {
            let mut senders = senders.into_iter();
            batch.send(link, &self.names, move |answer| {
                let Some(sender) = senders.next() else { return };
                sender.send(answer).ok(); // where whoever asked went away, it is dropped
            })
        }))
        .await;
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if !self.took {
            let nobody_asks_for = std::mem::take(&mut self.link.reads.0.lock().waiting);
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

/// Leases that may have been left for somebody who has not been told of them. Dropped before that, they are taken back.
pub(super) struct Untold {
    link: Arc<Link>,
    left: Vec<(String, Word)>,
}

impl Untold {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        Untold { link: Arc::clone(link), left: Vec::new() }
    }

    fn of(link: &Arc<Link>, questions: &[Question<'_>]) -> Self {
        let left = questions.iter().filter_map(Question::lease).map(|(key, word)| (key.to_owned(), word));
        Untold { link: Arc::clone(link), left: left.collect() }
    }

    pub(super) fn add(&mut self, key: &str, word: Word) {
        self.left.push((key.to_owned(), word));
    }

    pub(super) fn told(mut self) {
        self.left.clear();
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        take_back(&self.link, std::mem::take(&mut self.left));
    }
}

/// Takes leases back, where they were left, so that nobody waits for a load that never comes.
pub(super) fn take_back(link: &Arc<Link>, left: Vec<(String, Word)>) {
    if !left.is_empty() {
        let sends = Arc::clone(link);
        link.errands.run(async move {
            for left in left.chunks(MAX_PIPELINE) {
                let mut commands = Pipeline::with_capacity(left.len());
                for (key, word) in left {
                    commands.add_command(RELEASE.on(&[key]).arg(word.as_bytes()).take());
                }
                // Where this fails, the leases end with their time, or with a claim.
                sends.send(&commands, sends.deadline()).await.ok();
            }
        });
    }
}

/// Questions that leave in one pipeline, and the tokens that they ask for.
#[derive(Debug, Default)]
struct Batch {
    commands: Pipeline,
    bytes: usize,
    entries: Vec<Entry>,
    tokens: HashMap<Tag, Asked, BuildHasherDefault<TagHasher>>,
}

/// Which commands are those of a question.
#[derive(Clone, Copy, Debug)]
struct Entry {
    from: usize,
    to: usize,
    lease: Option<Word>,
}

/// A token that is asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// What it will be, if there is none and it may be put.
    drawn: Token,
    may_put: bool,
}

impl Batch {
    /// Whether its pipeline can hold this one too. One question always fits.
    fn has_room_for(&self, question: &Question<'_>) -> bool {
        let commands = self.commands.len() + self.tokens.len() + 1;
        let more = question.tags.len() + 2;
        self.entries.is_empty() || (commands + more <= MAX_PIPELINE && self.bytes <= MAX_PIPELINE_BYTES)
    }

    fn add(&mut self, Question { what, tags, may_put }: Question<'_>) {
        let from = self.commands.len();
        let mut left = None;
        match what {
            What::Nothing => {}
            What::Look(key) => {
                self.commands.cmd("GETEX").arg(key);
            }
            What::Lease(key, word) => {
                left = Some(word);
                // What is in the lease beside its word is told by nobody to anybody.
                let bytes = entry::lease(word, entry::Era([0; 8]));
                self.commands.add_command(set_absent(key, &bytes, LEASE_MS));
            }
            What::Run(commands) => {
                for command in commands {
                    self.bytes += command.args_iter().map(|argument| bytes_of(&argument)).sum::<usize>();
                    self.commands.add_command(command);
                }
            }
        }
        self.entries.push(Entry { from, to: self.commands.len(), lease: left });
        for tag in tags {
            let drawn = || rand::rng().random::<u64>().to_be_bytes();
            let asked = self.tokens.entry(*tag).or_insert_with(|| Asked { drawn: drawn(), may_put });
            asked.may_put |= may_put;
        }
    }

    /// Sends the pipeline, and gives each question its answer, in their order.
    async fn send(mut self, link: &Arc<Link>, names: &Names, mut give: impl FnMut(Delivery)) {
        let deadline = link.deadline();
        let tokens_from = self.commands.len();
        for (tag, Asked { drawn, may_put }) in &self.tokens {
            if *may_put {
                self.commands.add_command(set_absent(&names.tag(*tag), drawn, TOKEN_MS));
            } else {
                self.commands.cmd("GETEX").arg(names.tag(*tag));
            }
        }
        self.commands.cmd("GETEX").arg(names.root());
        let mut told = match link.send(&self.commands, deadline).await {
            Ok(mut answers) => {
                let in_force = answers.drain(tokens_from..);
                let captured = self.capture(link, names, in_force);
                captured.map(|(capture, damaged)| (capture, damaged, answers))
            }
            Err(trouble) => Err(trouble),
        };
        if let Ok((_, damaged, _)) = &mut told
            && !damaged.is_empty()
            && let Err(trouble) = link.send(damaged, deadline).await
        {
            link.give_up(trouble);
        }
        for entry in &self.entries {
            give(match &mut told {
                Err(trouble) => Delivery { answer: Err(trouble.clone()), left: None },
                Ok((capture, _, answers)) => {
                    let value = answer(&mut answers[entry.from..entry.to]);
                    let left = entry.lease.filter(|_| value == Value::Nil);
                    let left = left.and_then(|word| Some(Box::new((self.key(entry.from)?, word))));
                    Delivery { answer: Ok((value, Arc::clone(capture))), left }
                }
            });
        }
    }

    /// Reads what was in force, and what removes that which is no token under the keys of tags. Where a tag has no token and may
    /// not get one, the drawn one stands for it, of which nothing is in force. So it does where something else lies there.
    fn capture(
        &self,
        link: &Arc<Link>,
        names: &Names,
        mut answers: impl Iterator<Item = Value>,
    ) -> Result<(Arc<Capture>, Pipeline), Trouble> {
        let mut damaged = Pipeline::new();
        let mut next = || answers.next().ok_or(Trouble::Garbled).and_then(string);
        let mut told = Vec::with_capacity(self.tokens.len());
        for (tag, Asked { drawn, .. }) in &self.tokens {
            told.push(match next() {
                Ok(None) => Ok(*drawn),
                Ok(Some(token)) if token.len() == drawn.len() => Ok(Token::try_from(token).unwrap_or(*drawn)),
                Ok(Some(_)) | Err(Trouble::WrongType) => {
                    damaged.cmd("UNLINK").arg(names.tag(*tag));
                    Ok(*drawn)
                }
                Err(trouble) => link.believe(Err(trouble)),
            });
        }
        // Whatever is wrong with the root is for the handshake to mend.
        let root = next().map_err(|trouble| link.give_up(trouble))?;
        let root = root.as_deref().and_then(Root::parse);
        let root = root.filter(|root| root.incarnation == link.identity.incarnation);
        let is_lost = || link.give_up(Trouble::Away("its root is lost, or of another server".to_owned()));
        let root = root.ok_or_else(is_lost)?;
        let is_torn = told.iter().any(Result::is_err);
        let captured = self.tokens.iter().zip(told).map(|((tag, asked), token)| {
            let token = token.map(|token| (token, token_hash(token, root.era)));
            (*tag, Captured { token, is_put: asked.may_put })
        });
        let tokens = captured.collect();
        Ok((Arc::new(Capture { link: Arc::clone(link), root, tokens, is_torn }), damaged))
    }

    /// The key that a command is about.
    fn key(&self, at: usize) -> Option<String> {
        match self.commands.cmd_iter().nth(at)?.args_iter().nth(1)? {
            Arg::Simple(key) => String::from_utf8(key.to_vec()).ok(),
            _ => None,
        }
    }
}

/// The first error among some answers, else the last of them; nothing where there are none.
fn answer(answers: &mut [Value]) -> Value {
    let last = answers.len().saturating_sub(1);
    let at = answers.iter().position(|answer| matches!(answer, Value::ServerError(_))).unwrap_or(last);
    answers.get_mut(at).map_or(Value::Nil, |answer| std::mem::replace(answer, Value::Nil))
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
