//! Another process: signals, and whether it runs.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait::Patience;

/// A process that this one started, or had started.
#[derive(Debug)]
pub(crate) struct Process {
    what: &'static str,
    pid: Pid,
    handle: OwnedFd,
}

impl Process {
    /// The process with this id, which nobody may have waited for yet.
    pub(crate) fn of(what: &'static str, pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed()).expect("a process has an id that is not 0");
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("a process that nobody waited for exists");
        Self { what, pid, handle }
    }

    pub(crate) fn id(&self) -> Pid {
        self.pid
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().cast_unsigned()
    }

    /// Sends a signal; one to a process that has ended is lost, as always.
    pub(crate) fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot send {signal:?} to {} {}: {error}", self.what, self.pid()),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
        let none = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        // The end of any child of this process is a signal, which interrupts.
        let polled = retry_on_intr(|| poll(&mut ended, Some(&none)));
        polled.expect("a handle of a process can be polled") == 0
    }

    /// Waits until it has ended, with all its threads: its ports are closed, its files are written.
    pub(crate) async fn ended(&self) {
        let patience = Patience::with_a_process();
        while self.is_running() {
            patience.pause(|| format!("the end of {} {}", self.what, self.pid())).await;
        }
    }

    /// Waits until it is stopped by a signal, or until it is not.
    pub(crate) async fn stopped(&self, expected: Stopped) {
        let patience = Patience::new();
        while self.is_running() && (self.state().ok() == Some('T')) != (expected == Stopped::Yes) {
            patience.pause(|| format!("{} {}: stopped: {expected:?}", self.what, self.pid())).await;
        }
    }

    /// The letter of its state: `proc_pid_stat(5)`, the field after the name in brackets.
    fn state(&self) -> io::Result<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        state.ok_or_else(|| io::Error::other("a line of proc_pid_stat(5) has a state"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Yes,
    No,
}
