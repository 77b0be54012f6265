dofile(os.getenv("BENCH_LUA") .. "/done.lua")

wrk.method = "POST"
wrk.headers["content-type"] = "application/octet-stream"
wrk.body = string.rep("0123456789abcdef", 640)
