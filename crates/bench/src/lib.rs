//! What every program that measures says of the machine it ran on, where it writes, and how it speaks to whoever watches.

pub mod machine;
pub mod terminal;
