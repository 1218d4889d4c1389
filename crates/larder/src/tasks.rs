//! The tasks of a service: those that are kept for as long as it lives, and errands, which end by themselves.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// The tasks of one service. Those that are kept end with it.
#[derive(Debug)]
pub(crate) struct Tasks {
    kept: Mutex<JoinSet<()>>,
    errands: Arc<Errands>,
}

/// Tasks that end by themselves: all but a scan within a few limits of an operation. What is kept may hold on to them, and not to the
/// [`Tasks`] that keep it.
#[derive(Debug)]
pub(crate) struct Errands {
    /// `None` for a service that has no tasks.
    runtime: Option<Handle>,
    tracker: TaskTracker,
}

impl Tasks {
    pub(crate) fn new(errands: Arc<Errands>) -> Tasks {
        Tasks { kept: Mutex::default(), errands }
    }

    /// Runs a task for as long as the service lives.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.errands.runtime {
            self.kept.lock().spawn_on(task, runtime);
        }
    }

    /// Waits for the errands under way, then ends the tasks that are kept.
    ///
    /// # Cancel safety
    /// What is under way goes on; what is kept ends with the service.
    pub(crate) async fn shutdown(&self) {
        self.errands.tracker.close(); // it answers once there is none; another may come all the same
        self.errands.tracker.wait().await;
        let mut kept = std::mem::take(&mut *self.kept.lock());
        kept.shutdown().await;
    }
}

impl Errands {
    /// On the runtime of the caller.
    pub(crate) fn here() -> Result<Errands, TryCurrentError> {
        Ok(Errands { runtime: Some(Handle::try_current()?), ..Errands::none() })
    }

    /// For a service that has no tasks: nothing is run.
    pub(crate) fn none() -> Errands {
        Errands { runtime: None, tracker: TaskTracker::new() }
    }

    /// Runs an errand to its end, whoever goes away.
    pub(crate) fn run(&self, errand: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            self.tracker.spawn_on(errand, runtime);
        }
    }

    /// Runs an errand that callers wait for by themselves, so that [`Tasks::shutdown`] need not: where there is always another, it
    /// would never end.
    pub(crate) fn run_unwaited(&self, errand: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(errand));
        }
    }

    /// Runs an errand to its end, whoever goes away, and answers its result; `None` if the runtime has ended.
    ///
    /// # Cancel safety
    /// The errand goes on; its result is lost.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        errand: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.tracker.spawn_on(errand, self.runtime.as_ref()?).await.ok()
    }
}
