//! A life of a server that has been reached and is not trusted yet.
//!
//! It may have come back with an older state of its data, so that changes which were acknowledged are undone there. Whoever has a record
//! of them makes up for what it has not heard of, and says so.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::link::Link;

/// A life of a server that waits for a verdict. Dropped without one, it is given up, and asked about anew.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) link: Arc<Link>,
    /// What was last noted there by whoever vouched for it; nothing where nothing is left of what it was true of.
    pub(crate) watermark: Option<Vec<u8>>,
    verdict: oneshot::Sender<Verdict>,
}

/// What whoever has a record of all changes says of it.
#[derive(Debug)]
pub(super) struct Verdict {
    /// It has heard of every change: what is there is still right. Else a new era begins.
    pub(super) keeps: bool,
    /// What is to be noted there, for the next to begin with.
    pub(super) watermark: Vec<u8>,
}

impl Doubt {
    pub(super) fn new(link: Arc<Link>, watermark: Option<Vec<u8>>) -> (Doubt, oneshot::Receiver<Verdict>) {
        let (verdict, answer) = oneshot::channel();
        (Doubt { link, watermark, verdict }, answer)
    }

    /// Ends it.
    pub(crate) fn end(self, keeps: bool, watermark: Vec<u8>) {
        // Its connection may have ended meanwhile, and nobody waits any more.
        self.verdict.send(Verdict { keeps, watermark }).ok();
    }
}
