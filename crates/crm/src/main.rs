//! The `crm` command. What it does is in the library beside it, so that tests can do it too.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    crm::cli::run()
}
