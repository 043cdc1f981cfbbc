-- Posts frames that are new each time: the body of a file, in which UEs, numbers and times are written over in place.
-- wrk ... -s frames.lua URL -- BODY_FILE HEADERS_FILE PATCHES_FILE ANSWERED FRAMES UES FIRST
-- See template.py, which does the same: a patch is a line of its offset, its kind and its slot. ANSWERED is what an
-- answer has once for each frame that was answered, in hexadecimal; FIRST the number of the first request.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../serving/report.lua")

local ffi = require("ffi")
ffi.cdef [[
  struct cellsense_time { long s; long us; };
  int gettimeofday(struct cellsense_time *now, void *zone);
]]
local now = ffi.new("struct cellsense_time")
local float64 = ffi.new("union { double value; uint8_t bytes[8]; }")
local patches, slots = {}, {ue = 0, number = 0}
local whole, size, answered, frames, ues, sequence

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local body, headers = file:read("*a"), {}
  file:close()
  for line in io.lines(args[2]) do
    local name, value = line:match("^(.-): (.*)$")
    headers[name] = value
  end
  local text = wrk.format("POST", nil, headers, body)
  size = #text
  whole = ffi.new("char[?]", size)
  ffi.copy(whole, text, size)
  for line in io.lines(args[3]) do
    local offset, kind, slot = line:match("^(%d+) (%S+) (%d+)$")
    patches[#patches + 1] = {at = whole + (size - #body) + tonumber(offset), kind = kind, slot = tonumber(slot)}
    if slots[kind] then
      slots[kind] = slots[kind] + 1
    end
  end
  answered = args[4]:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
  frames, ues = tonumber(args[5]), tonumber(args[6])
  sequence = tonumber(args[7]) - 1 -- wrk asks for a request before it begins, to see that it is one
  refused = 0 -- global, as is `reason`: report.lua reads them
end

function request()
  ffi.C.gettimeofday(now, nil)
  local s, us = tonumber(now.s), tonumber(now.us)
  for _, patch in ipairs(patches) do
    local text
    if patch.kind == "ue" then
      text = string.format("%08d", (sequence * slots.ue + patch.slot) % ues)
    elseif patch.kind == "number" then
      text = string.format("%04d", (sequence * slots.number + patch.slot) % 10000)
    elseif patch.kind == "digits" then
      text = string.format("%010d.%06d", s, us)
    else -- float64, the most significant byte first
      float64.value = s + us / 1e6
      for byte = 0, 7 do
        patch.at[byte] = float64.bytes[7 - byte]
      end
    end
    if text then
      ffi.copy(patch.at, text, #text)
    end
  end
  sequence = sequence + 1
  return ffi.string(whole, size)
end

function response(status, headers, body)
  local count, from = 0, 1
  repeat
    local first, last = body:find(answered, from, true)
    if first then
      count, from = count + 1, last + 1
    end
  until not first
  if count == frames then
    return
  end
  if status == 200 then -- wrk counts any other
    refused = refused + 1
  end
  reason = reason or status .. ": " .. body:sub(1, 600):gsub("[^\32-\126]", ".")
end
