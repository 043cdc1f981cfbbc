-- Mark tasks of a kept answer as labelled.
--
-- KEYS[1]  the answers of one site in one minute: a hash of records by key (service/feedback/packing.py)
-- ARGV[1]  key of the answer
-- ARGV[2]  the tasks, a bit each
--
-- Answers the record as it was before, or nothing where there is none: each task is new to one caller only.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then
  local labelled = bit.bor(string.byte(record, -1), tonumber(ARGV[2]))
  redis.call('HSET', KEYS[1], ARGV[1], string.sub(record, 1, -2) .. string.char(labelled))
end
return record
