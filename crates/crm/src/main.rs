//! The `crm` command. What it does is in the library beside it, so that tests can do it too.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for pages of 2 MiB, and Linux makes one of any in which a little is used, whenever it gets to it: memory went
    // up by a quarter in a minute that nobody could tell from others. Where it cannot be helped it does no harm.
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
    crm::cli::run()
}
