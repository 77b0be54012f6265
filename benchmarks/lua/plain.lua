dofile(os.getenv("BENCH_LUA") .. "/done.lua")
