-- Append one vertex to a trajectory and answer with the trajectory up to it, in one atomic step.
--
-- KEYS[1]  the trajectory: a string of records of one size, oldest first (service/trajectory/packing.py)
-- ARGV[1]  the vertex: a record, which begins with its timestamp (float64, s) and its digest (8 bytes)
-- ARGV[2]  most records to keep
-- ARGV[3]  time to live in ms, counted from now
-- ARGV[4]  how many seconds older than the newest record a new vertex may be
--
-- Answers a letter and what belongs to it:
--   A  the records up to the vertex, which was appended now or by an earlier try with the same digest
--   D  nothing: the timestamp is taken by a vertex with another digest
--   O  the newest timestamp: the vertex is too old
local record = ARGV[1]
local size = #record
local most = size * tonumber(ARGV[2])
local stored = redis.call('GET', KEYS[1]) or ''
local time = struct.unpack('<d', record)

local at = #stored -- where the vertex belongs: this many bytes of `stored` are not newer than it
while at > 0 do
  local first = at - size
  local other = struct.unpack('<d', stored, first + 1)
  if other < time then
    break
  end
  if other == time then
    if string.sub(stored, first + 9, first + 16) ~= string.sub(record, 9, 16) then
      return 'D'
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return 'A' .. string.sub(string.sub(stored, 1, at), -most)
  end
  at = first
end

if at < #stored then
  local newest = string.sub(stored, #stored - size + 1, #stored - size + 8)
  if struct.unpack('<d', newest) - time > tonumber(ARGV[4]) then
    return 'O' .. newest
  end
end

local upto = string.sub(stored, 1, at) .. record
redis.call('SET', KEYS[1], string.sub(upto .. string.sub(stored, at + 1), -most), 'PX', ARGV[3])
return 'A' .. string.sub(upto, -most)
