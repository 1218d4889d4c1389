//! What processes cost: the time for which they had a processor.

use std::fs;

/// Ticks of a second in which Linux counts the time of processes for everybody (`USER_HZ`, proc(5)).
const TICKS_PER_S: f64 = 100.0;

/// User and system time so far of a process, in microseconds.
pub(super) fn of_us(pid: u32) -> f64 {
    in_us(Times::of(pid).map_or(0, |times| times.own))
}

/// The same, with that of its children that have ended, and of those that live.
pub(super) fn with_children_us(pid: u32) -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = Times::of(pid).map_or(0, |times| times.own + times.of_ended_children);
    let children = processes.filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        Times::of(child).filter(|times| times.parent == pid)
    });
    in_us(own + children.map(|times| times.own).sum::<u64>())
}

fn in_us(ticks: u64) -> f64 {
    ticks as f64 * 1e6 / TICKS_PER_S
}

/// What is of interest in `/proc/PID/stat`, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    parent: u32,
    own: u64,
    of_ended_children: u64,
}

impl Times {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name of the program stands in brackets, and may have blanks and brackets in it.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            of_ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_program_is_called() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 13 4 5 6 20 0 2 0 100";
        assert_eq!(Times::parse(stat), Some(Times { parent: 7, own: 17, of_ended_children: 11 }));
        assert_eq!(Times::parse("nonsense"), None);
    }

    #[test]
    fn this_process_has_taken_time() {
        let began = crate::stage::processor_ns();
        while crate::stage::processor_ns() - began < 2e7 {}
        assert!(of_us(std::process::id()) >= 1e4);
    }
}
