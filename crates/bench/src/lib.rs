//! What every program that measures says of the machine it ran on, and where it writes.

pub mod machine;
