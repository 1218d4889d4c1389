//! How far an import has come, on standard error: a bar where somebody watches, a line a step where a file does, nothing
//! where nobody asked.

use std::io::{IsTerminal, Write};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar is drawn again, per second: smooth to the eye, nothing beside the work.
const DRAWS_PER_SECOND: u8 = 10;

/// Shows the steps of an import and how far the present one has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A bar on a terminal.
    Bar(ProgressBar),
    /// One line for each step.
    Lines,
    /// Nothing at all.
    Silent,
}

/// Whom an import shows its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever reads standard error, be it a terminal or a file.
    Anyone,
    /// Somebody at a terminal, but no file.
    Terminal,
    /// Nobody.
    Nobody,
}

impl Progress {
    /// Progress as the audience and standard error allow it.
    pub(crate) fn new(audience: Audience) -> Self {
        match (audience, std::io::stderr().is_terminal()) {
            (Audience::Anyone | Audience::Terminal, true) => Self::Bar(ProgressBar::with_draw_target(
                None,
                ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND),
            )),
            (Audience::Anyone, false) => Self::Lines,
            (Audience::Terminal, false) | (Audience::Nobody, _) => Self::Silent,
        }
    }

    /// A step begins that has no known length.
    pub(crate) fn begin(&self, what: &str) {
        match self {
            Self::Bar(bar) => bar.set_message(what.to_owned()),
            Self::Lines => line(&format!("{what} …")),
            Self::Silent => {}
        }
    }

    /// A step begins that handles so many rows.
    pub(crate) fn begin_rows(&self, what: &str, rows: usize) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(what.to_owned());
                bar.set_length(rows as u64);
                bar.set_style(style());
            }
            Self::Lines => line(&format!("{what} {} rows …", HumanCount(rows as u64))),
            Self::Silent => {}
        }
    }

    /// One row has been handled.
    pub(crate) fn step(&self) {
        if let Self::Bar(bar) = self {
            bar.inc(1);
        }
    }

    /// The import is over; a bar leaves the terminal as it was.
    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    // A template that does not parse would be a defect; the plain bar does as well.
    ProgressStyle::with_template("{msg} {bar:40} {human_pos} of {human_len} rows")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(text: &str) {
    // Nobody to read it is no reason to give up an import.
    writeln!(std::io::stderr().lock(), "{text}").ok();
}
