//! The scripts that Redis runs for us: what has to be compared and done in one step.

use redis::Cmd;

/// One script.
///
/// Each begins with `#!lua`, so that a replica refuses it before it runs. Those that need no more memory, or 48 bytes for the
/// root, also run on a full server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script(&'static str);

/// `KEYS[1]` the entry, `ARGV[1]` the word that was seen, `ARGV[2]` the new bytes, `ARGV[3]` the life in ms, or nothing for
/// ever. Puts the bytes in if the entry still begins with the word; answers whether it did.
pub(super) const FILL: Script = Script(
    "#!lua\n\
     if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end \
     if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end \
     return 1",
);

/// `KEYS[1]` the entry, `KEYS[2]` the staged bytes, `ARGV[1]` the word that was seen, `ARGV[2]` the life in ms, or nothing for
/// ever. As [`FILL`], without passing large bytes through the script.
pub(super) const FILL_STAGED: Script = Script(
    "#!lua flags=allow-oom\n\
     if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then \
       redis.call('UNLINK', KEYS[2]) return 0 \
     end \
     redis.call('RENAME', KEYS[2], KEYS[1]) \
     if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
     return 1",
);

/// `KEYS[1]` any key, `ARGV[1]` what it has to begin with. Removes it then; answers whether it did.
pub(super) const RELEASE: Script = Script(
    "#!lua flags=allow-oom\n\
     if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end \
     redis.call('UNLINK', KEYS[1]) \
     return 1",
);

/// `KEYS[1]` the root, `ARGV[1]` the whole old one, or nothing where there was none, `ARGV[2]` the new one. Answers whether it
/// was put in.
pub(super) const NEW_ROOT: Script = Script(
    "#!lua flags=allow-oom\n\
     if redis.call('GETRANGE', KEYS[1], 0, -1) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2]) \
     return 1",
);

/// `KEYS[1]` the entry, `ARGV[1]` fresh random bytes of an interval, `ARGV[2]` format and flags, `ARGV[3]` the row version, 8
/// bytes, `ARGV[4]` the time in ms, `ARGV[5]` the payload. Puts a newer version of a row in place of an older one, which keeps
/// what it depends on and the length of its life. Anything else but a newer version is removed. Answers 2 if it was put in, 1 if
/// what is there is as new, 0 if there was nothing to replace.
pub(super) const SUCCEED: Script = Script(
    "#!lua\n\
     local head = redis.call('GETRANGE', KEYS[1], 0, 54) \
     local old = #head == 55 and string.sub(head, 1, 2) == '\\254V' and math.floor(string.byte(head, 26) / 4) % 2 == 1 \
     local stored, fresh, now = 0, 0, tonumber(ARGV[4]) \
     local forever = string.sub(head, 35, 42) == string.rep('\\255', 8) \
     if old then \
       local s1, s2 = struct.unpack('>I4I4', head, 27) \
       local f1, f2 = struct.unpack('>I4I4', head, 35) \
       stored, fresh = s1 * 4294967296 + s2, f1 * 4294967296 + f2 \
     end \
     if not old or (not forever and fresh <= now) then redis.call('UNLINK', KEYS[1]) return 0 end \
     local o1, o2 = struct.unpack('>I4I4', head, 47) \
     local n1, n2 = struct.unpack('>I4I4', ARGV[3]) \
     if o1 > n1 or (o1 == n1 and o2 >= n2) then return 1 end \
     local life = fresh - stored \
     local function number(n) return struct.pack('>I4I4', math.floor(n / 4294967296), n % 4294967296) end \
     local til = forever and string.sub(head, 35, 42) or number(now + life) \
     local tags = redis.call('GETRANGE', KEYS[1], 54, 54 + 16 * string.byte(head, 55)) \
     local new = '\\254V' .. ARGV[1] .. '\\0\\0\\0\\1' .. string.sub(head, 15, 22) .. ARGV[2] .. number(now) .. til \
       .. string.sub(head, 43, 46) .. ARGV[3] .. tags .. ARGV[5] \
     if forever then redis.call('SET', KEYS[1], new) \
     else redis.call('SET', KEYS[1], new, 'PX', string.format('%.0f', life)) end \
     return 2",
);

/// `KEYS[1]` when all is earned again, in microseconds of the server's clock, `ARGV[1]` what one costs, `ARGV[2]` how much can be owed,
/// `ARGV[3]` how many are wanted. Takes as many of these as there are, and answers how many, and what is owed then. More cannot be
/// owed than can be, whatever the clock of a server that came before said.
pub(super) const SPEND: Script = Script(
    "#!lua\n\
     local time, one, most = redis.call('TIME'), tonumber(ARGV[1]), tonumber(ARGV[2]) \
     local now = time[1] * 1000000 + time[2] \
     local stored = (tonumber(redis.call('GETEX', KEYS[1]) or 0) or 0) - now \
     local owed = math.max(0, math.min(stored, most)) \
     local granted = math.min(math.floor((most - owed) / one), tonumber(ARGV[3])) \
     if granted == 0 and stored <= most then return {0, owed} end \
     owed = owed + granted * one \
     redis.call('SET', KEYS[1], string.format('%.0f', now + owed), 'PX', string.format('%.0f', math.ceil(owed / 1000))) \
     return {granted, owed}",
);

impl Script {
    /// The command that runs it on these keys; arguments follow.
    ///
    /// It is sent whole: all but one have some 600 bytes at most, and a hash would be refused after a `SCRIPT FLUSH`.
    pub(super) fn on(self, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.0).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        command
    }
}
