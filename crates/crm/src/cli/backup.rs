//! `crm backup`, `crm restore` and `crm restored`: a database is saved, and put back.

use super::Failure;
use crate::backup::{self, Contents, Existing, Restored, Step};
use crate::config::Settings;
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const BACKUP: &str = "\
Save the database of the settings in a new file, while servers run and write.

The file holds one state of the database: all of what was committed when it began, and nothing of what came later. It has its name when it is \
written, was looked through from its beginning to its end and is on the disk; before that it has another name, which ends with \
.unfinished, in the same folder. No file is ever written over. It holds passwords (hashed): only its owner can read it.

It is for SQLite. PostgreSQL is saved by pg_dump; the message says how.";

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  crm backup /var/backups/crm-$(date +%F).db
  crm backup copy.db --database-url sqlite:sales.db

Exit status: 0 when there is a backup that is whole, 1 when there is none.";

pub(super) const RESTORE: &str = "\
Put a backup in the place of the database of the settings.

Stop all servers first: while anybody has the database open, nothing is done. A database that is there is replaced with --replace only, and \
is kept beside under a name that is printed. What is put back is made whole beside it first, with the tables of this program, and takes its \
place at one stroke: if the machine stops, the database is the one or the other.

Users, roles and passwords are as they were at the backup: whoever was shut out since then is in again. So all sessions and tokens are ended; users \
sign in, and programs need new tokens. No Redis is believed about the database any more: every cache begins empty.

A file of a newer `crm` is refused, and so is one that is damaged or of another program. It is for SQLite; of PostgreSQL the message says how.";

pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  crm restore /var/backups/crm-2026-11-26.db --replace
  crm restore crm.db.replaced-1 --replace      and back again
  crm restore crm-monday.db --database-url sqlite:look.db

Exit status: 0 when the database is that of the backup, 1 when it is what it was.";

pub(super) const RESTORED: &str = "\
Say that the database of the settings was put back by other means than `crm restore`: by pg_restore, or from a copy of its disk.

Without it a Redis may be believed that holds what was changed after the backup, and sessions that were ended since then hold again. It ends all \
sessions and tokens, and makes every cache begin empty. Run it once, before any server is started on what was put back; \
while one runs, nothing is done.";

/// What `backup` takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The file, which must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What `restore` takes besides the settings.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the database that is there, and keep it beside
    #[arg(long)]
    replace: bool,
}

pub(super) async fn back_up(settings: &Settings, arguments: &BackupArguments) -> Result<(), Failure> {
    let bar = bar();
    let written = backup::write(&settings.database_url, &arguments.file, |step| show(&bar, step)).await;
    bar.finish_and_clear();
    let contents = written?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is saved in {}, which is whole:", settings.database_url, arguments.file.display())?;
    list(&mut out, &contents)?;
    Ok(())
}

pub(super) async fn restore(settings: &Settings, arguments: &RestoreArguments) -> Result<(), Failure> {
    let (bar, url, file) = (bar(), &settings.database_url, &arguments.file);
    let existing = if arguments.replace { Existing::IsReplaced } else { Existing::Stays };
    let restored = backup::restore(url, file, existing, |step| show(&bar, step)).await;
    bar.finish_and_clear();
    let Restored { contents, from_migration, ended, kept } = restored?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{url} is what was saved in {} now:", file.display())?;
    list(&mut out, &contents)?;
    if from_migration < contents.migration {
        writeln!(out, "Its tables were those of version {from_migration}, and are up to date now.")?;
    }
    if let Some(kept) = kept {
        writeln!(out, "The database that was there is {} now.", kept.display())?;
    }
    tell_what_ended(&mut out, ended)
}

pub(super) async fn restored(settings: &Settings) -> Result<(), Failure> {
    let ended = backup::announce_restored(&settings.database_url).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} is taken as it is now.", settings.database_url)?;
    tell_what_ended(&mut out, ended)
}

fn list(out: &mut impl Write, contents: &Contents) -> Result<(), Failure> {
    for (table, rows) in &contents.rows {
        writeln!(out, "  {table:<20} {rows:>10}")?;
    }
    writeln!(out, "  {:<20} {:>10}", "version of tables", contents.migration)?;
    Ok(())
}

fn tell_what_ended(out: &mut impl Write, sessions: u64) -> Result<(), Failure> {
    writeln!(
        out,
        "All sessions and tokens are ended ({sessions}): users sign in again, and programs need new tokens. Users, roles and passwords are \
         those of the backup."
    )?;
    writeln!(out, "Every cache begins empty: what a Redis has kept is not believed any more.")?;
    Ok(())
}

/// Drawn on stderr, and only where that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, step: Step) {
    bar.set_message(match step {
        Step::Copy { written_bytes, of_bytes } => {
            format!("copying: {} of about {}", HumanBytes(written_bytes), HumanBytes(of_bytes))
        }
        Step::Check => "looking whether it is whole".to_owned(),
        Step::Migrate => "bringing its tables up to date".to_owned(),
    });
}
