//! The tasks of a service: those that are kept for as long as it lives, and errands, which end by themselves.

use std::future::Future;

use parking_lot::Mutex;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// The tasks of one service. Those that are kept end with it.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// `None` for a service that has none.
    runtime: Option<Handle>,
    kept: Mutex<JoinSet<()>>,
    errands: TaskTracker,
}

impl Tasks {
    /// Tasks on the runtime of the caller.
    pub(crate) fn here() -> Result<Tasks, TryCurrentError> {
        Ok(Tasks { runtime: Some(Handle::try_current()?), ..Tasks::none() })
    }

    /// No tasks.
    pub(crate) fn none() -> Tasks {
        Tasks { runtime: None, kept: Mutex::default(), errands: TaskTracker::new() }
    }

    /// Runs a task for as long as the service lives.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            self.kept.lock().spawn_on(task, runtime);
        }
    }

    /// Runs an errand to its end, whoever goes away.
    pub(crate) fn run(&self, errand: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            self.errands.spawn_on(errand, runtime);
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
        self.errands.spawn_on(errand, self.runtime.as_ref()?).await.ok()
    }

    /// Waits for the errands under way, then ends the tasks that are kept.
    ///
    /// # Cancel safety
    /// What is under way goes on; what is kept ends with the service.
    pub(crate) async fn shutdown(&self) {
        self.errands.close(); // it answers once there is none; another may come all the same
        self.errands.wait().await;
        let mut kept = std::mem::take(&mut *self.kept.lock());
        kept.shutdown().await;
    }
}
