//! The one script, and the commands that bring it to a server and call it (Redis 6.2 or newer, Valkey).

use crate::resp;
use crate::websocket::sha1;

/// Rates are kept as `used at blocked`: what is used in parts of one unit of cost, up to which moment it was reckoned,
/// and until when the key is refused. Quotas are a hash of parts of the window, and `b` as `blocked`. Whole numbers
/// below 2^53 all through, so that nothing is rounded. Answered: step (-1 refused), granted, remaining, microseconds
/// until everything is there again, microseconds until it may be tried again, and the time of the answer. A call whose
/// least is 0 gives back what one at that time was granted: never more than is surely still counted of it.
const TEXT: &str = r"
local a, key = ARGV, KEYS[1]
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local function n(i) return tonumber(a[i]) end
local function text(x) return string.format('%.0f', x) end
local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min

-- Walks the steps: each 'd' lets another `most` through, a number refuses for so many milliseconds.
local function walk(from, most, least, used, one)
  local allowed = most
  for i = from, #a + 1 do
    if floor((allowed - used) / one) >= least then return i - from, allowed, nil end
    if not a[i] then break end
    if a[i] ~= 'd' then return -1, allowed, n(i) end
    allowed = allowed + most
  end
  return -1, allowed, nil
end

if a[1] == 'r' then
  local unit, count, window, burst, wanted, least = n(2), n(3), n(4), n(5), n(6), n(7)
  local now = floor(us / unit)
  local used, at, blocked = 0, now, 0
  local x, y, z = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+)$')
  if x then used, at, blocked = tonumber(x), tonumber(y), tonumber(z) end
  if blocked > now then
    local left = (blocked - now) * unit
    return {-1, 0, 0, left, left, us}
  end
  if blocked > 0 then used, at, blocked = 0, now, 0 end
  if now > at then used, at = max(0, used - (now - at) * count), now end
  local most = burst * window
  local step, allowed, deny, granted, retry = 0, most, nil, 0, 0
  if least > 0 then step, allowed, deny = walk(8, most, least, used, window) end
  if least == 0 then
    -- What time has brought since may have been that.
    local since = max(0, now - floor(n(8) / unit))
    used = max(0, used - max(0, wanted * window - since * count))
  elseif step >= 0 then
    granted = min(wanted, floor((allowed - used) / window))
    used = used + granted * window
  elseif deny then
    retry = ceil(deny * 1000 / unit)
    blocked = now + retry
  else
    retry = ceil((used + least * window - allowed) / count)
  end
  local back = max(ceil(used / count) + at - now, blocked - now)
  if granted > 0 or deny or (least == 0 and x) then
    local kept = text(used) .. ' ' .. text(at) .. ' ' .. text(blocked)
    redis.call('SET', key, kept, 'PX', text(ceil(back * unit / 1000) + 1000))
  end
  return {step, granted, max(0, floor((most - used) / window)), max(back, retry) * unit, retry * unit, us}
end

if a[1] == 'q' then
  local kind, size, count, wanted, least = a[2], n(3), n(4), n(6), n(7)
  local ms = floor(us / 1000)
  local span, parts = size, 1
  local function ends(p) return (p + parts) * span end
  local function at(ms) return floor(ms / span) end
  if kind == 'rolling' then
    span, parts = ceil(size / 12), 13
  elseif kind == 'month' then
    -- Days to months of the Gregorian calendar, in eras of 400 years that begin on 1 March.
    at = function(ms)
      local days = floor(ms / 86400000) + 719468
      local era = floor(days / 146097)
      local doe = days - era * 146097
      local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
      local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
      return (yoe + era * 400) * 12 + floor((5 * doy + 2) / 153)
    end
    ends = function(p)
      local year, mp = floor((p + 1) / 12), (p + 1) % 12
      local e = floor(year / 400)
      local y = year - e * 400
      local day = e * 146097 + y * 365 + floor(y / 4) - floor(y / 100) + floor((153 * mp + 2) / 5) - 719468
      return day * 86400000
    end
  end
  local part = at(ms)
  local had, counts, newest, blocked = redis.call('HGETALL', key), {}, part, 0
  for i = 1, #had, 2 do
    if had[i] == 'b' then
      blocked = tonumber(had[i + 1])
    else
      local p = tonumber(had[i])
      counts[p] = tonumber(had[i + 1])
      newest = max(newest, p)
    end
  end
  part = newest
  local used, old = 0, {}
  for p, c in pairs(counts) do
    if p > part - parts then used = used + c else old[#old + 1] = text(p) end
  end
  local last = max(ends(part), ms)
  if least == 0 then
    local p = at(floor(n(8) / 1000))
    local back = min(wanted, counts[p] or 0)
    if back > 0 then redis.call('HINCRBY', key, text(p), text(-back)) end
    return {0, 0, max(0, count - used + back), (last - ms) * 1000, 0, us}
  end
  if blocked > ms then return {-1, 0, 0, (blocked - ms) * 1000, (blocked - ms) * 1000, us} end
  local step, allowed, deny = walk(8, count, least, used, 1)
  local granted, retry = 0, 0
  if step >= 0 then
    granted = min(wanted, allowed - used)
    used = used + granted
  elseif deny then
    retry, blocked = deny, ms + deny
  else
    local freed, missing = 0, used + least - allowed
    retry = last - ms
    for p = part - parts + 1, part do
      freed = freed + (counts[p] or 0)
      if freed >= missing then retry = max(ends(p) - ms, 0) break end
    end
  end
  if granted > 0 or deny then
    if #old > 0 then redis.call('HDEL', key, unpack(old)) end
    if granted > 0 then redis.call('HINCRBY', key, text(part), text(granted)) end
    if deny then redis.call('HSET', key, 'b', text(blocked)) end
    redis.call('PEXPIREAT', key, text(max(last, blocked) + 1000))
  end
  return {step, granted, max(0, count - used), max(last - ms, retry) * 1000, retry * 1000, us}
end
return redis.error_reply('ERR unknown mode')
";

/// The script as commands.
#[derive(Debug, Clone)]
pub struct Script {
    digest: [u8; 40],
}

impl Default for Script {
    fn default() -> Self {
        let mut digest = [0; 40];
        for (byte, two) in sha1(TEXT.as_bytes()).iter().zip(digest.chunks_exact_mut(2)) {
            two.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        Self { digest }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Script {
    /// Brings it to the server (`SCRIPT LOAD`).
    pub fn load(out: &mut Vec<u8>) {
        resp::command(out, &[b"SCRIPT", b"LOAD", TEXT.as_bytes()]);
    }

    /// Begins a call (`EVALSHA`) for one key with so many arguments, which follow.
    pub fn call(&self, out: &mut Vec<u8>, key: &[u8], arguments: usize) {
        resp::array(out, arguments + 4);
        resp::bulk(out, b"EVALSHA");
        resp::bulk(out, &self.digest);
        resp::bulk(out, b"1");
        resp::bulk(out, key);
    }
}
