//! From which size on is a value better put aside and renamed into its place than passed through a script? And what does it
//! cost to send a script whole?

use std::sync::Arc;

use redis::{Cmd, Pipeline};

use super::ground::{Entrant, Ground, Numbers, SERVER, SERVER_CPU};
use crate::Failure;
use crate::record::Sample;

pub(crate) const GROUP: &str = "fill by a script";

/// With whom all are compared.
pub(crate) const BASELINE: &str = "EVAL with the bytes";

const CALLS: usize = 400;

const SIZES: [usize; 7] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10, 100 << 10];

/// As in `crates/larder/src/remote/script.rs`.
const FILL: &str = "#!lua\n\
     if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end \
     if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end \
     return 1";

/// As in `crates/larder/src/remote/script.rs`.
const FILL_STAGED: &str = "#!lua flags=allow-oom\n\
     if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then \
       redis.call('UNLINK', KEYS[2]) return 0 \
     end \
     redis.call('RENAME', KEYS[2], KEYS[1]) \
     if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
     return 1";

/// The word that the entry begins with, before each fill and after it.
const WORD: [u8; 14] = [7; 14];

const LIFE_MS: u64 = 1_800_000;

#[derive(Clone, Copy)]
enum Way {
    /// Through the script.
    Passed { whole: bool },
    /// Put aside before, by a `SET` of its own.
    Aside { whole: bool },
    /// Without comparing: what no way can be below.
    Set,
}

impl Way {
    const ALL: [(&'static str, Way); 5] = [
        (BASELINE, Way::Passed { whole: true }),
        ("EVALSHA with the bytes", Way::Passed { whole: false }),
        ("SET aside, EVAL with RENAME", Way::Aside { whole: true }),
        ("SET aside, EVALSHA with RENAME", Way::Aside { whole: false }),
        ("bare SET", Way::Set),
    ];

    fn commands(self, hashes: &[String; 2], entry: &str, bytes: &[u8]) -> Pipeline {
        let mut commands = Pipeline::with_capacity(2);
        match self {
            Way::Passed { whole } => {
                let mut fill = script(FILL, &hashes[0], whole, &[entry]);
                commands.add_command(fill.arg(&WORD).arg(bytes).arg(LIFE_MS).take());
            }
            Way::Aside { whole } => {
                commands.cmd("SET").arg("!f:0123456789abcdef").arg(bytes).arg("PX").arg(5_000);
                let mut rename = script(FILL_STAGED, &hashes[1], whole, &[entry, "!f:0123456789abcdef"]);
                commands.add_command(rename.arg(&WORD).arg(LIFE_MS).take());
            }
            Way::Set => {
                commands.cmd("SET").arg(entry).arg(bytes).arg("PX").arg(LIFE_MS);
            }
        }
        commands
    }

    /// The commands that it sends itself. What a script calls is part of the script's own time.
    fn names(self) -> &'static [&'static str] {
        match self {
            Way::Passed { whole: true } => &["eval"],
            Way::Passed { whole: false } => &["evalsha"],
            Way::Aside { whole: true } => &["set", "eval"],
            Way::Aside { whole: false } => &["set", "evalsha"],
            Way::Set => &["set"],
        }
    }
}

fn script(text: &str, hash: &str, whole: bool, keys: &[&str]) -> Cmd {
    let mut command =
        if whole { redis::cmd("EVAL").arg(text).take() } else { redis::cmd("EVALSHA").arg(hash).take() };
    command.arg(keys.len()).arg(keys);
    command
}

pub(crate) fn measure(ground: &Ground) -> Result<Vec<Sample>, Failure> {
    let load = |text: &str| -> Result<String, Failure> {
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(text).take();
        Ok(ground.runtime.block_on(load.query_async(&mut ground.bare.clone()))?)
    };
    let hashes = Arc::new([load(FILL)?, load(FILL_STAGED)?]);
    let mut all = Vec::new();
    for size in SIZES {
        for (side, way) in Way::ALL {
            let set = format!("{} KiB", size >> 10);
            let hashes = Arc::clone(&hashes);
            let once = Box::new(move || fill(ground, &hashes, way, size));
            all.push(Entrant { group: GROUP, set, side, entries: size, once });
        }
    }
    ground.interleave(GROUP, all)
}

/// Fills one entry again and again. Answers what one fill took.
fn fill(ground: &Ground, hashes: &Arc<[String; 2]>, way: Way, size: usize) -> Result<Numbers, Failure> {
    let bytes = [&WORD[..], &vec![b'x'; size]].concat();
    let entry = format!("filled:{size}");
    let first = redis::cmd("SET").arg(&entry).arg(&WORD).take();
    ground.runtime.block_on(first.query_async::<()>(&mut ground.bare.clone()))?;
    let before = ground.runtime.block_on(ground.spent(way.names()));
    let state = (ground.bare.clone(), Arc::clone(hashes), entry, bytes);
    let mut numbers =
        ground.calls(1, CALLS, state, move |(mut bare, hashes, entry, bytes), _| async move {
            let answers: Vec<redis::Value> =
                way.commands(&hashes, &entry, &bytes).query_async(&mut bare).await?;
            let filled = matches!(answers.last(), Some(redis::Value::Int(1) | redis::Value::Okay));
            if filled { Ok(()) } else { Err(format!("a fill was answered {answers:?}").into()) }
        })?;
    let after = ground.runtime.block_on(ground.spent(way.names()));
    numbers.push((SERVER, (after.0 - before.0) / CALLS as f64));
    numbers.push((SERVER_CPU, (after.1 - before.1) / CALLS as f64));
    Ok(numbers)
}
