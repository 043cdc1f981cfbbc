-- What a script of wrk says at the end: one line of JSON. `refused`, a global number of a thread, counts answers of 200
-- that its script found to be failures all the same; `reason`, a global text, is the first of them, to be shown.
local all = {}

function setup(thread)
  all[#all + 1] = thread
end

function done(summary, latency, requests)
  local refused = 0
  for _, thread in ipairs(all) do
    refused = refused + (thread:get("refused") or 0)
    if thread:get("reason") then
      io.write("REASON ", thread:get("reason"), "\n")
    end
  end
  local e = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "duration_us": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, '
      .. '"refused": %d, "p50_us": %d, "p90_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, e.connect, e.read, e.write, e.status, e.timeout, refused,
    latency:percentile(50), latency:percentile(90), latency:percentile(99)))
end
