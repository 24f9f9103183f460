//! What happens in one step on the server. `KEYS[1]` is the job's hash, `bell` rings.

/// Milliseconds, and the 16 digits before a content.
const TIME: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = string.format('%016d', now)
";

/// The command and the channel, before all else.
const BELL: &str = "local function bell() redis.call(ARGV[1], ARGV[2], '') end\n";

/// Name, content, time to live. The time, or -1 if the name is taken.
const CREATE: &str = "
if redis.call('HSETNX', KEYS[1], ARGV[3], stamp .. ARGV[4]) == 0 then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
bell()
return now
";

/// Name, content, time to live. The time, or -1 if there is nothing of the name.
const RENEW: &str = "
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return -1 end
redis.call('HSET', KEYS[1], ARGV[3], stamp .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return now
";

/// Name.
const DELETE: &str = "
local gone = redis.call('HDEL', KEYS[1], ARGV[3])
if gone > 0 then bell() end
return gone
";

/// Begin of the names.
const CLEAR: &str = "
local gone = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, #ARGV[3]) == ARGV[3] then
    gone = gone + redis.call('HDEL', KEYS[1], name)
  end
end
if gone > 0 then bell() end
return gone
";

/// Names and the times of their contents, in turn.
const LIST: &str = "
local all = redis.call('HGETALL', KEYS[1])
for at = 2, #all, 2 do all[at] = string.sub(all[at], 1, 16) end
return all
";

pub(super) fn create() -> String {
    [TIME, BELL, CREATE].concat()
}

pub(super) fn renew() -> String {
    [TIME, RENEW].concat()
}

pub(super) fn delete() -> String {
    [BELL, DELETE].concat()
}

pub(super) fn clear() -> String {
    [BELL, CLEAR].concat()
}

pub(super) fn list() -> String {
    LIST.to_owned()
}
