-- Append a vertex to each of some trajectories and answer with each trajectory up to its vertex, in one atomic step.
--
-- KEYS     the trajectories: strings of records of one size, oldest first (service/trajectory/packing.py). One may be
--          there several times: the vertices are appended in order
-- ARGV[1]  the vertices, one after the other: records, which begin with timestamp (float64, s) and digest (8 bytes)
-- ARGV[2]  most records to keep
-- ARGV[3]  time to live in ms, counted from now
-- ARGV[4]  how many seconds older than the newest record a new vertex may be
--
-- Answers for each vertex a letter and how many records belong to it (uint32), one after the other, and all of these
-- records:
--   A  those up to the vertex, which was appended now or by an earlier try with the same digest
--   D  none: the timestamp is taken by a vertex with another digest
--   O  the newest: the vertex is older than that, and too old
local size = #ARGV[1] / #KEYS
local most = size * tonumber(ARGV[2])
local tolerance = tonumber(ARGV[4])

local function append(key, record)
  local stored = redis.call('GET', key) or ''
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
        return 'D', ''
      end
      redis.call('PEXPIRE', key, ARGV[3])
      return 'A', string.sub(string.sub(stored, 1, at), -most)
    end
    at = first
  end

  if at < #stored then
    local newest = string.sub(stored, -size)
    if struct.unpack('<d', newest) - time > tolerance then
      return 'O', newest
    end
  end

  local upto = string.sub(stored, 1, at) .. record
  redis.call('SET', key, string.sub(upto .. string.sub(stored, at + 1), -most), 'PX', ARGV[3])
  return 'A', string.sub(upto, -most)
end

local heads, records = {}, {}
for i, key in ipairs(KEYS) do
  local verdict, found = append(key, string.sub(ARGV[1], (i - 1) * size + 1, i * size))
  heads[i] = verdict .. struct.pack('<I4', #found / size)
  records[i] = found
end
return {table.concat(heads), table.concat(records)}
