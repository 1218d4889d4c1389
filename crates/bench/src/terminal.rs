//! Whoever watches.

use std::io::{self, Write};

/// Says something to them.
pub fn tell(line: &str) {
    // If standard error is closed there is nobody left to tell.
    writeln!(io::stderr().lock(), "{line}").ok();
}
