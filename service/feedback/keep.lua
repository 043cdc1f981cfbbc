-- Keep answers until labels may come.
--
-- KEYS[1]  the answers of one site in one minute: a hash of records by key (service/feedback/packing.py)
-- ARGV[1]  time to live in ms, counted from now
-- ARGV[2]  number of answers from which on no more are kept
-- ARGV[3]  key and record of each answer, one after the other
--
-- Answers whether they were kept: all of them or none. A record that is there already stays as it is, with what was
-- labelled.
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
for at = 1, #ARGV[3], 40 do
  local key, record = string.sub(ARGV[3], at, at + 15), string.sub(ARGV[3], at + 16, at + 39)
  redis.call('HSETNX', KEYS[1], key, record)
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
