//! Group commit of reads: those that come while others are under way leave together.
//!
//! A read that finds none under way leaves at once, in its caller's own task. Any other waits, for one turn of the scheduler at
//! most, and leaves with all that came meanwhile: one pipeline, in which the root and each token stand once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use redis::{Cmd, Pipeline, Value};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::MAX_PIPELINE;
use super::link::Link;
use super::names::Names;
use super::read::{Capture, LEASE_MS};
use super::root::{Root, Token};
use super::script::RELEASE;
use super::trouble::{Trouble, string};
use crate::entry::{self, Word};
use crate::key::Tag;

/// 7 days: how long the token of a tag that nobody invalidates is kept. Losing it costs loads and is never stale.
const TOKEN_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// What the arguments of a `SET` of a lease or a token take beside the key, in bytes: exact enough to allocate once.
const SET_BYTES: usize = 48;

/// What is asked in one go.
#[derive(Debug)]
pub(super) struct Question {
    /// The key of an entry; `None` asks only for what is in force.
    pub(super) key: Option<String>,
    /// The lease that is left where there is nothing; `None` leaves nothing behind.
    pub(super) lease: Option<Word>,
    /// The tags whose tokens are asked for. One that has none gets one, if `may_put` is said.
    pub(super) tags: SmallVec<[Tag; 4]>,
    pub(super) may_put: bool,
}

/// What lies under the key, and what is in force.
pub(super) type Answer = Result<(Result<Option<Vec<u8>>, Trouble>, Capture), Trouble>;

/// The reads of one connection.
#[derive(Debug, Default)]
pub(super) struct Gather(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Pipelines that are not answered yet.
    under_way: usize,
    waiting: Vec<(Question, oneshot::Sender<Delivery>)>,
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
pub(super) async fn ask(link: &Arc<Link>, names: &Arc<Names>, question: Question) -> Answer {
    let mut is_first = false;
    let way = {
        let mut state = link.reads.0.lock();
        if state.under_way == 0 {
            state.under_way = 1;
            Ok(question)
        } else {
            let (sender, answer) = oneshot::channel();
            state.waiting.push((question, sender));
            is_first = state.waiting.len() == 1;
            Err(answer)
        }
    };
    if is_first {
        link.errands
            .run_unwaited(Flush { link: Arc::clone(link), names: Arc::clone(names), took: false }.run());
    }
    match way {
        Ok(alone) => {
            let _under_way = UnderWay(&link.reads);
            let alone = [alone];
            let unanswered = Unanswered::new(link, &alone);
            let mut answer = None;
            // It is large, and those that wait for a flush have no need of it.
            Box::pin(send(link, names, &alone, |given| answer = Some(given))).await;
            unanswered.answered();
            answer.unwrap_or(Err(Trouble::Garbled))
        }
        // Whoever sends it has a deadline for all of them.
        Err(answer) => answer.await.map_or_else(|_dropped| Err(Trouble::ended()), Delivery::take),
    }
}

/// Asks several questions, in one round trip for each [`MAX_PIPELINE`] commands; the answers are in their order.
///
/// # Cancel safety
/// Leases may have been left behind; [`Unanswered`] takes them back.
pub(super) async fn ask_together(link: &Arc<Link>, names: &Names, questions: &[Question]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(questions.len());
    send(link, names, questions, |answer| answers.push(answer)).await;
    answers
}

/// What sends the reads that have gathered. Dropped before it took them, as with a runtime that ends, it leaves nobody waiting.
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
        let still_waiting = waiting.into_iter().filter(|(_, sender)| !sender.is_closed());
        let (questions, senders): (Vec<_>, Vec<_>) = still_waiting.unzip();
        let mut waiting = questions.iter().zip(senders);
        send(link, &self.names, &questions, |answer| {
            let Some((question, sender)) = waiting.next() else { return };
            sender.send(Delivery::new(link, question, answer)).ok(); // where whoever asked went away, it is dropped
        })
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
    answer: Option<Answer>,
    link: Arc<Link>,
    left: Option<(String, Word)>,
}

impl Delivery {
    fn new(link: &Arc<Link>, question: &Question, answer: Answer) -> Self {
        let left = match &answer {
            Ok((Ok(None), _)) => question.left(),
            _ => None,
        };
        Delivery { answer: Some(answer), link: Arc::clone(link), left }
    }

    fn take(mut self) -> Answer {
        self.left = None;
        self.answer.take().unwrap_or(Err(Trouble::Garbled))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        take_back(&self.link, self.left.take());
    }
}

/// Questions that their caller sent. Dropped before the caller has all answers, leases that they left are taken back.
pub(super) struct Unanswered<'a> {
    link: &'a Arc<Link>,
    questions: &'a [Question],
}

impl<'a> Unanswered<'a> {
    pub(super) fn new(link: &'a Arc<Link>, questions: &'a [Question]) -> Self {
        Unanswered { link, questions }
    }

    pub(super) fn answered(mut self) {
        self.questions = &[];
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        take_back(self.link, self.questions.iter().filter_map(Question::left));
    }
}

impl Question {
    /// The key of the lease that is left where there is nothing, and its word.
    fn left(&self) -> Option<(String, Word)> {
        self.key.clone().zip(self.lease)
    }
}

/// Takes leases back, where they were left, so that nobody waits for a load that never comes.
fn take_back(link: &Arc<Link>, left: impl IntoIterator<Item = (String, Word)>) {
    let left: Vec<(String, Word)> = left.into_iter().collect();
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

/// Sends questions, and gives each its answer, in their order.
async fn send(link: &Arc<Link>, names: &Names, questions: &[Question], mut give: impl FnMut(Answer)) {
    let mut rest = questions;
    while !rest.is_empty() {
        let (questions, others) = rest.split_at(as_many_as_fit(rest));
        rest = others;
        let deadline = link.deadline();
        let (commands, asked) = commands_of(names, questions);
        let mut in_force = match link.send(&commands, deadline).await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                InForce::read(link, names, asked, &mut answers).map(|in_force| (in_force, answers))
            }
            Err(trouble) => Err(trouble),
        };
        if let Ok((in_force, _)) = &mut in_force
            && !in_force.damaged.is_empty()
            && let Err(trouble) = link.send(&in_force.damaged, deadline).await
        {
            link.give_up(trouble);
        }
        for question in questions {
            let answer = match &mut in_force {
                Ok((in_force, answers)) => in_force.answer(link, question, answers),
                Err(trouble) => Err(trouble.clone()),
            };
            give(answer);
        }
    }
}

/// How many of these questions one pipeline holds, by the most commands that they may be; at least one.
fn as_many_as_fit(questions: &[Question]) -> usize {
    let mut commands = 1;
    let fits = questions.iter().take_while(|question| {
        commands += 1 + question.tags.len();
        commands <= MAX_PIPELINE
    });
    fits.count().max(1)
}

/// The commands of some questions: each token once, the root once, then the entries. What is captured is thereby older than what
/// is read, and than the lease that is left.
fn commands_of(names: &Names, questions: &[Question]) -> (Pipeline, Asked) {
    let tags = questions.iter().map(|question| question.tags.len()).sum::<usize>();
    let mut commands = Pipeline::with_capacity(questions.len() + tags + 1);
    let mut asked = Asked::default();
    for question in questions {
        for tag in &question.tags {
            asked.tag(*tag, question.may_put, &mut commands, names);
        }
    }
    commands.cmd("GETEX").arg(names.root());
    for Question { key, lease, .. } in questions {
        let Some(key) = key else { continue };
        match lease {
            // What is in the lease beside its word is told by nobody to anybody.
            Some(word) => {
                let bytes = entry::lease(*word, entry::Era([0; 8]));
                let mut set = Cmd::with_capacity(7, SET_BYTES + key.len());
                set.arg("SET").arg(key).arg(&bytes[..]).arg("NX").arg("GET").arg("PX").arg(LEASE_MS);
                commands.add_command(set);
            }
            None => {
                commands.cmd("GETEX").arg(key);
            }
        }
    }
    (commands, asked)
}

/// The tokens that a pipeline asks for.
#[derive(Default)]
struct Asked {
    tokens: Vec<(Tag, Token)>,
    at: HashMap<(Tag, bool), usize>,
}

impl Asked {
    /// Asks for the token of a tag, once. A tag that has none gets the drawn one, if it may.
    fn tag(&mut self, tag: Tag, may_put: bool, commands: &mut Pipeline, names: &Names) {
        let next = self.tokens.len();
        if *self.at.entry((tag, may_put)).or_insert(next) != next {
            return;
        }
        let token: Token = rand::rng().random();
        if may_put {
            let key = names.tag(tag);
            let mut set = Cmd::with_capacity(7, SET_BYTES + key.len());
            set.arg("SET").arg(key).arg(&token[..]).arg("NX").arg("GET").arg("PX").arg(TOKEN_MS);
            commands.add_command(set);
        } else {
            commands.cmd("GETEX").arg(names.tag(tag));
        }
        self.tokens.push((tag, token));
    }
}

/// What was in force when a pipeline was executed.
struct InForce {
    root: Root,
    /// Of each token that was asked for, what is in force. A full server may not take a new one.
    tokens: Vec<Result<Token, Trouble>>,
    at: HashMap<(Tag, bool), usize>,
    /// Removes what is no token under the keys of tags.
    damaged: Pipeline,
}

impl InForce {
    /// Reads what was asked for. Where a tag has no token and may not get one, the drawn one stands for it, of which
    /// nothing is in force. So it does where something else lies under the tag's key.
    fn read(
        link: &Arc<Link>,
        names: &Names,
        Asked { tokens: drawn, at }: Asked,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<InForce, Trouble> {
        let mut damaged = Pipeline::new();
        let mut tokens = Vec::with_capacity(drawn.len());
        for (tag, drawn) in drawn {
            tokens.push(match answers.next().ok_or(Trouble::Garbled).and_then(string) {
                Ok(None) => Ok(drawn),
                Ok(Some(token)) if token.len() == drawn.len() => Ok(Token::try_from(token).unwrap_or(drawn)),
                Ok(Some(_)) | Err(Trouble::WrongType) => {
                    damaged.cmd("UNLINK").arg(names.tag(tag));
                    Ok(drawn)
                }
                Err(trouble) => link.believe(Err(trouble)),
            });
        }
        // Whatever is wrong with the root is for the handshake to mend.
        let root = answers.next().ok_or(Trouble::Garbled).and_then(string);
        let root = root.map_err(|trouble| link.give_up(trouble))?;
        let root = root.as_deref().and_then(Root::parse);
        match root.filter(|root| root.incarnation == link.identity.incarnation) {
            Some(root) => Ok(InForce { root, tokens, at, damaged }),
            None => Err(link.give_up(Trouble::Away("its root is lost, or of another server".to_owned()))),
        }
    }

    fn answer(
        &self,
        link: &Arc<Link>,
        question: &Question,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Answer {
        let value = match &question.key {
            Some(_) => answers.next().ok_or(Trouble::Garbled).and_then(string),
            None => Ok(None),
        };
        let token = |tag: &Tag| {
            let token = self.at.get(&(*tag, question.may_put)).and_then(|at| self.tokens.get(*at));
            Ok((*tag, token.cloned().unwrap_or(Err(Trouble::Garbled))?))
        };
        let tokens = question.tags.iter().map(token).collect::<Result<_, Trouble>>().inspect_err(|_| {
            if value == Ok(None) {
                take_back(link, question.left()); // nobody is told of it
            }
        })?;
        if value == Err(Trouble::Full) {
            return link.believe(Err(Trouble::Full));
        }
        Ok((value, Capture { link: Arc::clone(link), root: self.root, tokens }))
    }
}
