-- Limits and holds that several gateways share, decided in Redis, by its clock; all of a call happens at once.
--
-- KEYS: 1 the gateways (sorted set: who, when heard of last) · 2 the holds (hash: scope -> until, code, first)
--       · 3 the era (string: since when the data is there) · 4… the counters, one for each limit that is asked about
-- ARGV: 1 what to do · 2 which gateway asks · then as below. A limit is a JSON array: what kind, count, cost, and
--       rolling: window, grain, cells · calendar: cells, signature, margin, and five edges of windows around now
-- Replies are integers in one string: what became of it, the time here, and the rest. Only the holds come as an array.
--
-- The state of a window is a string of 64-bit floats, which hold the integers below 2^53 exactly: its kind, how many
-- cells it has, its signature, then the cells as gateway/limits/window.py and calendar.py describe them. All times are
-- microseconds since 1970.

local STRANGER, SKEW, ADMITTED, REFUSED, HELD = 0, -1, 1, 2, 3
local SECOND = 1000000
-- A gateway that was not heard of for so long has no slots any more; and how long it counts for the others' shares.
local LEASE, SEEN = 10 * SECOND, 60 * SECOND
local DAY_MS, HOUR_MS = 86400000, 3600000
-- A hold is remembered for an hour after its end, and not longer when there are too many.
local HOLD_KEPT, HOLDS_LIMIT = 3600 * SECOND, 4096

local GATEWAYS, HOLDS, ERA = KEYS[1], KEYS[2], KEYS[3]
local what, me = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * SECOND + clock[2]

local function text(number)
  return string.format('%.0f', number)
end

local function heard(gateway)
  return tonumber(redis.call('ZSCORE', GATEWAYS, gateway) or 0) > now - LEASE
end

-- The cells of a window's state -------------------------------------------------------------------------------------

local HEADER = 3

local function open(key)
  local stored = redis.call('GET', key)
  return { key = key, known = stored, text = stored or '', changed = {} }
end

local function at(state, cell)
  local value = state.changed[cell]
  if value then return value end
  local offset = 8 * (cell + HEADER)
  if #state.text < offset + 8 then return 0 end
  return (struct.unpack('<d', state.text, offset + 1))
end

local function put(state, cell, value)
  state.changed[cell] = value
end

local function clear(state)
  state.text, state.changed = '', {}
  state.anew = true
end

-- Write what was changed, neighbours together.
local function close(state, ttl)
  local cells = {}
  for cell in pairs(state.changed) do cells[#cells + 1] = cell end
  if #cells == 0 then return end
  table.sort(cells)
  if state.anew then redis.call('DEL', state.key) end
  local first, parts = cells[1], {}
  for number, cell in ipairs(cells) do
    parts[#parts + 1] = struct.pack('<d', state.changed[cell])
    if cells[number + 1] ~= cell + 1 then
      redis.call('SETRANGE', state.key, 8 * (first + HEADER), table.concat(parts))
      first, parts = cells[number + 1], {}
    end
  end
  redis.call('PEXPIRE', state.key, math.ceil(ttl))
end

-- The rolling window (window.py) ------------------------------------------------------------------------------------

local USED, OLDEST, NEWEST, RING = 0, 1, 2, 3

local rolling = {}

function rolling.read(spec)
  return { kind = 1, count = spec[2], cost = spec[3], window = spec[4], grain = spec[5], cells = spec[6], signature = 0 }
end

local function after(rule, place)
  place = place + 2
  if place == rule.cells then return RING end
  return place
end

local function size(rule, state)
  if at(state, USED) == 0 then return 0 end
  return (at(state, NEWEST) - at(state, OLDEST)) % (rule.cells - RING) / 2 + 1
end

local function place_of(rule, state, number)
  return RING + (at(state, OLDEST) - RING + 2 * number) % (rule.cells - RING)
end

function rolling.charges(rule, state)
  local log = {}
  for number = 0, size(rule, state) - 1 do
    local place = place_of(rule, state, number)
    if at(state, place + 1) > 0 then log[#log + 1] = { at(state, place), at(state, place + 1) } end
  end
  return log
end

local function forget(rule, state)
  local newest = at(state, at(state, NEWEST))
  if newest <= now - rule.window then
    put(state, USED, 0)
  elseif newest > now + rule.window then
    local used = at(state, USED)
    put(state, OLDEST, RING)
    put(state, NEWEST, RING)
    put(state, RING, now)
    put(state, RING + 1, used)
  else
    local place, used, edge = at(state, OLDEST), at(state, USED), now - rule.window
    while at(state, place) <= edge or at(state, place + 1) == 0 do
      used = used - at(state, place + 1)
      place = after(rule, place)
    end
    put(state, OLDEST, place)
    put(state, USED, used)
  end
end

function rolling.free_at(rule, state, cost)
  if at(state, USED) > 0 then
    local time = at(state, at(state, OLDEST))
    if time > now or time <= now - rule.window then forget(rule, state) end
  end
  local lack = at(state, USED) + cost - rule.count
  if lack <= 0 then return now end
  local place = at(state, OLDEST)
  while lack > at(state, place + 1) do
    lack = lack - at(state, place + 1)
    place = after(rule, place)
  end
  return at(state, place) + rule.window
end

local function sweep(rule, state)
  local log = rolling.charges(rule, state)
  for number, entry in ipairs(log) do
    put(state, RING + 2 * number - 2, entry[1])
    put(state, RING + 2 * number - 1, entry[2])
  end
  put(state, OLDEST, RING)
  local place = RING + 2 * #log
  if place == rule.cells then return place - 2 end
  put(state, place + 1, 0)
  return place
end

function rolling.charge(rule, state, cost, time)
  local mark, place = time, nil
  if at(state, USED) == 0 then
    place = RING
    put(state, OLDEST, place)
    put(state, place + 1, 0)
  else
    place = at(state, NEWEST)
    local newest = at(state, place)
    if time <= newest then
      mark = newest
    elseif math.floor(time / rule.grain) ~= math.floor(newest / rule.grain) then
      place = after(rule, place)
      if place == at(state, OLDEST) then
        place = sweep(rule, state)
      else
        put(state, place + 1, 0)
      end
    end
  end
  put(state, USED, at(state, USED) + cost)
  put(state, NEWEST, place)
  put(state, place, mark)
  put(state, place + 1, at(state, place + 1) + cost)
  return mark
end

function rolling.standing(rule, state)
  local used = at(state, USED)
  local since = used > 0 and at(state, at(state, OLDEST)) or now
  return math.max(0, rule.count - used), since + rule.window - now
end

function rolling.give_back(rule, state, cost, marks)
  local mark = marks[1]
  local low, high = 0, size(rule, state)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if at(state, place_of(rule, state, middle)) < mark then low = middle + 1 else high = middle end
  end
  if low >= size(rule, state) then return end
  local place = place_of(rule, state, low)
  if math.floor(at(state, place) / rule.grain) ~= math.floor(mark / rule.grain) then return end
  local units = math.min(cost, at(state, place + 1))
  put(state, place + 1, at(state, place + 1) - units)
  put(state, USED, at(state, USED) - units)
  while at(state, USED) > 0 and at(state, at(state, NEWEST) + 1) == 0 do
    put(state, NEWEST, (at(state, NEWEST) > RING and at(state, NEWEST) or rule.cells) - 2)
  end
  while at(state, USED) > 0 and at(state, at(state, OLDEST) + 1) == 0 do
    put(state, OLDEST, after(rule, at(state, OLDEST)))
  end
end

function rolling.adopt(rule, state, charges)
  for _, charge in ipairs(charges) do rolling.charge(rule, state, charge[2], math.min(charge[1], now)) end
end

function rolling.ttl(rule)
  return rule.window / 1000 + 1000
end

-- The calendar window (calendar.py). The gateway knows the zone: it sends the edges of the windows around the time it
-- takes to be ours; where ours is not among them it is told, and asks again.

local LAST, WINDOWS = 1, 2

local calendar = {}
-- Where the newest window lies is the first cell, as the units of a rolling window are.
local LATEST = 0

function calendar.read(spec)
  local rule = { kind = 2, count = spec[2], cost = spec[3], cells = spec[4], signature = spec[5], margin = spec[6] }
  local edges = spec[7]
  rule.edges = edges
  for number = 1, #edges - 2 do
    if edges[number] <= now and now < edges[number + 1] then
      rule.first, rule.start, rule.finish = number, edges[number], edges[number + 1]
    end
  end
  rule.skewed = rule.start == nil
  return rule
end

function calendar.charges(rule, state)
  local log = {}
  for cell = WINDOWS, at(state, LATEST), 2 do log[#log + 1] = { at(state, cell), at(state, cell + 1) } end
  return log
end

local function find(state, start)
  local cell = at(state, LATEST)
  while cell > 0 and at(state, cell) > start do cell = cell - 2 end
  return cell
end

local function unknown(rule, state, start)
  return at(state, LATEST) == rule.cells - 2 and start < at(state, WINDOWS)
end

local function used_in(rule, state, start)
  local cell = find(state, start)
  if cell > 0 and at(state, cell) == start then return at(state, cell + 1) end
  return unknown(rule, state, start) and rule.count or 0
end

local function add(rule, state, start, cost)
  local cell = find(state, start)
  if cell > 0 and at(state, cell) == start then
    put(state, cell + 1, at(state, cell + 1) + cost)
    return at(state, cell + 1)
  end
  local newest = at(state, LATEST)
  if newest == rule.cells - 2 then
    if cell == 0 then return cost end
    for each = WINDOWS, cell - 1 do put(state, each, at(state, each + 2)) end
  else
    for each = newest + 1, cell + 2, -1 do put(state, each + 2, at(state, each)) end
    put(state, LATEST, newest + 2)
    cell = cell + 2
  end
  put(state, cell, start)
  put(state, cell + 1, cost)
  return cost
end

function calendar.free_at(rule, state, cost)
  local cell = at(state, LATEST)
  if cell == 0 or at(state, cell) < rule.start then return now end
  if at(state, cell) == rule.start then
    return at(state, cell + 1) + cost <= rule.count and now or rule.finish
  end
  local room = rule.count - cost
  if unknown(rule, state, rule.start) then
    put(state, LAST, math.min(at(state, LAST), now))
    if now - at(state, LAST) < rule.finish - rule.start then return at(state, LAST) + rule.finish - rule.start end
    clear(state)
    return now
  end
  local free, number = now, rule.first
  while used_in(rule, state, rule.edges[number]) > room
    or (free >= rule.edges[number + 1] - rule.margin and used_in(rule, state, rule.edges[number + 1]) > room) do
    number = number + 1
    free = rule.edges[number]
    -- Farther than the gateway has told: it is full at least until there.
    if number > #rule.edges - 2 then return free end
  end
  return free
end

function calendar.charge(rule, state, cost, time)
  put(state, LAST, now)
  add(rule, state, rule.start, cost)
  if time >= rule.finish - rule.margin then add(rule, state, rule.finish, cost) end
  return time
end

function calendar.standing(rule, state)
  return math.max(0, rule.count - used_in(rule, state, rule.start)), rule.finish - now
end

-- The marks are the windows that the charge was counted in.
function calendar.give_back(rule, state, cost, marks)
  for _, start in ipairs(marks) do
    local cell = find(state, start)
    if cell > 0 and at(state, cell) == start then put(state, cell + 1, math.max(0, at(state, cell + 1) - cost)) end
  end
end

function calendar.adopt(rule, state, charges)
  for _, charge in ipairs(charges) do
    -- Windows of another unit or zone count in those of this one; those that are over do not.
    for number = 1, #rule.edges - 1 do
      if rule.edges[number] <= charge[1] and charge[1] < rule.edges[number + 1] then
        add(rule, state, rule.edges[number], charge[2])
      end
    end
  end
end

function calendar.ttl(rule)
  -- The next window counts, too, and an hour's step back may show this one again.
  return (rule.edges[rule.first + 2] - now) / 1000 + HOUR_MS
end

-- Requests at once: a hash of the slots that each gateway has taken. Those of a gateway that is gone are free.

local slots = {}

function slots.read(spec)
  return { kind = 3, count = spec[2], cost = spec[3] }
end

function slots.open(key)
  local state = { key = key, taken = 0, dead = {} }
  local pairs_of = redis.call('HGETALL', key)
  for number = 1, #pairs_of, 2 do
    if pairs_of[number] == me or heard(pairs_of[number]) then
      state.taken = state.taken + pairs_of[number + 1]
    else
      state.dead[#state.dead + 1] = pairs_of[number]
    end
  end
  return state
end

function slots.free_at(rule, state, cost)
  return state.taken + cost <= rule.count and now or now + SECOND
end

function slots.charge(rule, state, cost, time)
  state.taken = state.taken + cost
  redis.call('HINCRBY', state.key, me, cost)
  return time
end

function slots.standing(rule, state)
  return math.max(0, rule.count - state.taken), -1
end

function slots.close(state)
  for _, gateway in ipairs(state.dead) do redis.call('HDEL', state.key, gateway) end
  redis.call('PEXPIRE', state.key, DAY_MS)
end

-- Every limit that is asked about -----------------------------------------------------------------------------------

local RULES = { rolling, calendar, slots }

local function read(number)
  local spec = cjson.decode(ARGV[number + 2])
  local kind = RULES[spec[1]]
  return kind, kind.read(spec), spec
end

-- The state behind a key, as this rule goes on with it.
local function opened(kind, rule, key)
  if kind == slots then
    if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
    return slots.open(key)
  end
  if redis.call('TYPE', key).ok == 'hash' then redis.call('DEL', key) end
  local state = open(key)
  local was, cells, signature = at(state, -3), at(state, -2), at(state, -1)
  if was ~= rule.kind or cells ~= rule.cells or signature ~= rule.signature then
    local charges = {}
    if was == rule.kind then
      charges = kind.charges({ cells = cells }, state)
    end
    clear(state)
    put(state, -3, rule.kind)
    put(state, -2, rule.cells)
    put(state, -1, rule.signature)
    kind.adopt(rule, state, charges)
  end
  return state
end

local function finish(kind, rule, state)
  if kind == slots then slots.close(state) else close(state, kind.ttl(rule)) end
end

-- A hold (hold.py) --------------------------------------------------------------------------------------------------

local function hold_of(scope)
  local stored = redis.call('HGET', HOLDS, scope)
  if not stored then return nil end
  local ends, code, first = stored:match('(%d+) (%d+) (%d+)')
  return { scope = scope, ends = tonumber(ends), code = tonumber(code), first = tonumber(first) }
end

local function keep(hold)
  redis.call('HSET', HOLDS, hold.scope, text(hold.ends) .. ' ' .. hold.code .. ' ' .. text(hold.first))
  redis.call('PEXPIRE', HOLDS, DAY_MS)
end

-- What is asked -----------------------------------------------------------------------------------------------------

local calls = {}

-- ARGV: 3… a limit for each counter, then the scope ('' for none) and how long its first request may take
function calls.take()
  local count = #KEYS - 3
  if not heard(me) then return { STRANGER, now } end
  local scope, lease = ARGV[count + 3], tonumber(ARGV[count + 4])
  local hold = scope ~= '' and hold_of(scope)
  if hold and (now < hold.ends or now < hold.first) then
    return { HELD, now, now < hold.ends and hold.ends or now + SECOND, hold.code }
  end
  local kinds, rules, states, free, refused = {}, {}, {}, {}, false
  for number = 1, count do
    local kind, rule = read(number)
    if rule.skewed then return { SKEW, now } end
    kinds[number], rules[number] = kind, rule
  end
  for number = 1, count do
    local kind, rule = kinds[number], rules[number]
    states[number] = opened(kind, rule, KEYS[number + 3])
    free[number] = kind.free_at(rule, states[number], rule.cost)
    refused = refused or free[number] > now
  end
  if refused then
    -- What is over is forgotten all the same, or a clock that was set back would refuse for as long as it was ahead.
    for number = 1, count do
      if states[number].known then finish(kinds[number], rules[number], states[number]) end
    end
    local reply = { REFUSED, now }
    for number = 1, count do reply[#reply + 1] = free[number] end
    for number = 1, count do
      local left, reset = kinds[number].standing(rules[number], states[number])
      reply[#reply + 1], reply[#reply + 2] = left, reset
    end
    return reply
  end
  local token = 0
  if hold then
    hold.first = now + lease
    token = hold.first
    keep(hold)
  end
  local reply, marks = { ADMITTED, now, token }, {}
  for number = 1, count do
    local kind, rule, state = kinds[number], rules[number], states[number]
    marks[number] = kind.charge(rule, state, rule.cost, now)
    local left, reset = kind.standing(rule, state)
    reply[#reply + 1], reply[#reply + 2] = left, reset
    finish(kind, rule, state)
  end
  for number = 1, count do reply[#reply + 1] = marks[number] end
  return reply
end

-- ARGV: 3… a limit for each counter
function calls.look()
  local reply = { ADMITTED, now }
  for number = 1, #KEYS - 3 do
    local kind, rule = read(number)
    if rule.skewed then return { SKEW, now } end
    local state = opened(kind, rule, KEYS[number + 3])
    kind.free_at(rule, state, rule.cost)
    reply[#reply + 1], reply[#reply + 2] = kind.standing(rule, state)
  end
  return reply
end

-- ARGV: 3… a limit for each counter, to which the marks of the charge are added
function calls.give_back()
  for number = 1, #KEYS - 3 do
    local kind, rule, spec = read(number)
    local key = KEYS[number + 3]
    local state = redis.call('TYPE', key).ok == 'string' and open(key)
    -- As it lies there: new settings may have come since, and what lies there may be of another kind.
    if state and not rule.skewed and at(state, -3) == rule.kind and at(state, -1) == rule.signature then
      rule.cells = at(state, -2)
      kind.give_back(rule, state, rule.cost, spec[#spec])
      finish(kind, rule, state)
    end
  end
  return { ADMITTED, now }
end

-- ARGV: 3… the slots that come back, one number for each counter
function calls.release()
  for number = 1, #KEYS - 3 do
    local key, units = KEYS[number + 3], tonumber(ARGV[number + 2])
    local own = tonumber(redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, me) or 0)
    if own > units then
      redis.call('HINCRBY', key, me, -units)
    elseif own > 0 then
      redis.call('HDEL', key, me)
    end
  end
  return { ADMITTED, now }
end

-- ARGV: 3 the scope, 4 for how long, 5 the code
function calls.learn()
  local hold = hold_of(ARGV[3]) or { scope = ARGV[3], ends = 0, code = 0, first = 0 }
  if now + ARGV[4] > hold.ends then
    hold.ends, hold.code = now + ARGV[4], tonumber(ARGV[5])
    keep(hold)
  end
  return { ADMITTED, now }
end

-- ARGV: 3 the scope, 4 the token of the request that went first
function calls.answered()
  local hold = hold_of(ARGV[3])
  if hold and hold.first == tonumber(ARGV[4]) then
    hold.first = 0
    if now >= hold.ends then redis.call('HDEL', HOLDS, ARGV[3]) else keep(hold) end
  end
  return { ADMITTED, now }
end

function calls.gone()
  local hold = hold_of(ARGV[3])
  if hold and hold.first == tonumber(ARGV[4]) then
    hold.first = 0
    keep(hold)
  end
  return { ADMITTED, now }
end

-- A gateway is there. ARGV: 3 how many names it had before, then these, then the slots of its requests under way, one
-- number for each counter. The era is new where all data is.
function calls.join()
  local names = tonumber(ARGV[3])
  for number = 1, names do redis.call('ZREM', GATEWAYS, ARGV[number + 3]) end
  redis.call('ZADD', GATEWAYS, text(now), me)
  for number = 1, #KEYS - 3 do
    local key = KEYS[number + 3]
    if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
    redis.call('HSET', key, me, ARGV[number + 3 + names])
    redis.call('PEXPIRE', key, DAY_MS)
  end
  redis.call('SETNX', ERA, text(now))
  return calls.beat()
end

-- What was admitted elsewhere. ARGV: 3… a limit for each counter, to which its charges are added
function calls.adopt()
  for number = 1, #KEYS - 3 do
    local kind, rule, spec = read(number)
    if not rule.skewed then
      local state = opened(kind, rule, KEYS[number + 3])
      kind.adopt(rule, state, spec[#spec])
      finish(kind, rule, state)
    end
  end
  return { ADMITTED, now }
end

-- A gateway is still there: how many are, and since when the data is. It also sweeps the holds.
function calls.beat()
  if not heard(me) then return { STRANGER, now } end
  redis.call('ZADD', GATEWAYS, text(now), me)
  redis.call('ZREMRANGEBYSCORE', GATEWAYS, '-inf', text(now - SEEN))
  redis.call('PEXPIRE', GATEWAYS, DAY_MS)
  redis.call('PEXPIRE', ERA, 2 * DAY_MS)
  return { ADMITTED, now, redis.call('ZCARD', GATEWAYS), tonumber(redis.call('GET', ERA) or 0) }
end

-- The holds that are on, some at a time. ARGV: 3 the cursor of the time before
function calls.holds()
  local found = redis.call('HSCAN', HOLDS, ARGV[3], 'COUNT', 100)
  local full = redis.call('HLEN', HOLDS) > HOLDS_LIMIT
  local reply = { found[1] }
  for number = 1, #found[2], 2 do
    local hold = hold_of(found[2][number])
    if now >= hold.first and now >= hold.ends + (full and 0 or HOLD_KEPT) then
      redis.call('HDEL', HOLDS, hold.scope)
    elseif now < hold.ends or now < hold.first then
      reply[#reply + 1] = hold.scope
      reply[#reply + 1] = hold.ends - now
      reply[#reply + 1] = hold.code
      reply[#reply + 1] = math.max(0, hold.first - now)
    end
  end
  return reply
end

-- A gateway stops: its slots come back at once.
function calls.leave()
  redis.call('ZREM', GATEWAYS, me)
  return { ADMITTED, now }
end

local reply = calls[what]()
if what == 'holds' then return reply end
for number = 1, #reply do reply[number] = text(reply[number]) end
return table.concat(reply, ' ')
