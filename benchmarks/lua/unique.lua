-- Every request has a path, a query and an id of its own: nothing can be remembered by its bytes.
dofile(os.getenv("BENCH_LUA") .. "/done.lua")

local seed, n = 0, 0

init = function()
  math.randomseed(os.time())
  seed = math.random(0, 65535)
end

request = function()
  n = n + 1
  wrk.headers["x-request-id"] = string.format("%08x-%04x-4000-8000-%012x", n, seed, n * 7919)
  return wrk.format(nil, string.format("/reviews/%04x/%d?user=%d", seed, n, n * 31))
end
