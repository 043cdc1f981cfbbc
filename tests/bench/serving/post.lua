-- Posts one body from a file again and again; `wrk ... -s post.lua URL -- BODY_FILE HEADERS_FILE`.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  for line in io.lines(args[2]) do
    local name, value = line:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
end
