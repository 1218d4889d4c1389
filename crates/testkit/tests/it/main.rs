//! The testkit holds its own promises: limits fail, panics come through, gates hold and open.

mod deploy;
mod faults;
mod gate;
mod limit;
mod postgres;
mod proxy;
mod redis;
mod shared;
mod tls;
mod worker;
