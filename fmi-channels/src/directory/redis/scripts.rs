//! What happens in one step on the server.

use redis::Script;

/// The scripts, by what they do. `KEYS[1]` is the job's hash.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) renew: Script,
    pub(super) delete: Script,
    pub(super) clear: Script,
    pub(super) list: Script,
}

/// Milliseconds, and the 16 digits before a content.
const TIME: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%016d', now)
";

/// Name, content, time to live, bell. The time, or -1 if the name is taken.
const CREATE: &str = "
if redis.call('HSETNX', KEYS[1], ARGV[1], stamp .. ARGV[2]) == 0 then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], '')
return now
";

/// Name, content, time to live. The time, or -1 if there is nothing of the name.
const RENEW: &str = "
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], stamp .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return now
";

/// Name, bell.
const DELETE: &str = "
local gone = redis.call('HDEL', KEYS[1], ARGV[1])
if gone > 0 then redis.call('PUBLISH', ARGV[2], '') end
return gone
";

/// Begin of the names, bell.
const CLEAR: &str = "
local gone = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, #ARGV[1]) == ARGV[1] then
    gone = gone + redis.call('HDEL', KEYS[1], name)
  end
end
if gone > 0 then redis.call('PUBLISH', ARGV[2], '') end
return gone
";

/// Names and the times of their contents, in turn.
const LIST: &str = "
local all = redis.call('HGETALL', KEYS[1])
for at = 2, #all, 2 do all[at] = string.sub(all[at], 1, 16) end
return all
";

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            create: Script::new(&format!("{TIME}{CREATE}")),
            renew: Script::new(&format!("{TIME}{RENEW}")),
            delete: Script::new(DELETE),
            clear: Script::new(CLEAR),
            list: Script::new(LIST),
        }
    }
}
