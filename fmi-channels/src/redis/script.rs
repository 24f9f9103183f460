//! What the server does in one go.

use redis::Script;
use std::sync::OnceLock;

/// A script and its name on the server, made once.
pub(super) struct Scripted {
    pub(super) text: &'static str,
    hash: OnceLock<String>,
}

impl Scripted {
    const fn new(text: &'static str) -> Self {
        Self { text, hash: OnceLock::new() }
    }

    /// What `EVALSHA` calls it.
    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| Script::new(self.text).get_hash().to_owned())
    }
}

/// Puts a letter (`ARGV[1]`) into a mailbox (`KEYS[1]`) and rings its bell (`ARGV[2]`), with the
/// entry's number before the letter. Nothing, if there is no such mailbox; who should have one and
/// listens learns that by an empty ring. `ARGV[3]` is the command that rings.
pub(super) static POST: Scripted = Scripted::new(
    "local id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', '*', 'l', ARGV[1])\n\
     if id then redis.call(ARGV[3], ARGV[2], id .. '\\n' .. ARGV[1])\n\
     else redis.call(ARGV[3], ARGV[2], '') end\n\
     return id",
);

/// Makes a mailbox (`KEYS[1]`) if there is none, whose first entry is `ARGV[2]`, and lets it live for
/// `ARGV[1]` milliseconds from now on. Says whether there was one.
pub(super) static OPEN: Scripted = Scripted::new(
    "if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 1 then return 1 end\n\
     redis.call('XADD', KEYS[1], '*', 'l', ARGV[2])\n\
     redis.call('PEXPIRE', KEYS[1], ARGV[1])\n\
     return 0",
);

/// Puts an item (`KEYS[1]`) there: `ARGV[1]`, for `ARGV[2]` readers, with `ARGV[3]` parts in keys of
/// their own, for `ARGV[4]` milliseconds; and tells of it on the channel `ARGV[5]`. `KEYS[2]` holds the
/// numbers, `KEYS[3]` those who have read it, or have said before that they need not.
pub(super) static PUT: Scripted = Scripted::new(
    "if redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[2]) then\n\
       redis.call('DEL', KEYS[3])\n\
       for part = 0, tonumber(ARGV[3]) - 1 do redis.call('DEL', KEYS[1] .. ':' .. part) end\n\
       return 0 end\n\
     redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])\n\
     redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])\n\
     redis.call('PUBLISH', ARGV[5], KEYS[1])\n\
     return 1",
);

/// A reader (`ARGV[1]`) has read an item, or needs not. The last deletes it with all that belongs to
/// it. May be said again.
pub(super) static READ: Scripted = Scripted::new(
    "redis.call('SADD', KEYS[3], ARGV[1])\n\
     local numbers = redis.call('GET', KEYS[2])\n\
     if numbers then\n\
       local readers, parts = string.match(numbers, '(%d+) (%d+)')\n\
       if redis.call('SCARD', KEYS[3]) >= tonumber(readers) then\n\
         for part = 0, tonumber(parts) - 1 do redis.call('DEL', KEYS[1] .. ':' .. part) end\n\
         return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3]) end end\n\
     redis.call('PEXPIRE', KEYS[3], ARGV[2])\n\
     return 0",
);
