//! The scripts that Redis runs for us: what has to be compared and done in one step.

use redis::Cmd;

/// One script, known to the server by its hash once a connection has loaded it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script(&'static str);

/// `KEYS[1]` the entry, `ARGV[1]` the word that was seen, `ARGV[2]` the new bytes, `ARGV[3]` the life in ms, or nothing for
/// ever. Puts the bytes in if the entry still begins with the word; answers whether it did.
pub(super) const FILL: Script = Script(
    "if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end \
     if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end \
     return 1",
);

/// `KEYS[1]` the entry, `KEYS[2]` the staged bytes, `ARGV[1]` the word that was seen, `ARGV[2]` the life in ms, or nothing for
/// ever. As [`FILL`], without passing large bytes through the script.
pub(super) const FILL_STAGED: Script = Script(
    "if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then \
       redis.call('UNLINK', KEYS[2]) return 0 \
     end \
     redis.call('RENAME', KEYS[2], KEYS[1]) \
     if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
     return 1",
);

/// `KEYS[1]` any key, `ARGV[1]` what it has to begin with. Removes it then; answers whether it did.
pub(super) const RELEASE: Script = Script(
    "if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end \
     redis.call('UNLINK', KEYS[1]) \
     return 1",
);

/// `KEYS[1]` the root, `ARGV[1]` the whole old one, or nothing where there was none, `ARGV[2]` the new one. Answers whether it
/// was put in.
pub(super) const NEW_ROOT: Script = Script(
    "if redis.call('GETRANGE', KEYS[1], 0, -1) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2]) \
     return 1",
);

impl Script {
    /// The command that runs it on these keys; arguments follow.
    ///
    /// It is sent whole: the largest has some 400 bytes, and a hash would be refused after a `SCRIPT FLUSH`.
    pub(super) fn on(self, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.0).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        command
    }
}
