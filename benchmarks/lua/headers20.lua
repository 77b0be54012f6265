-- Twenty headers of the size browsers and meshes send.
dofile(os.getenv("BENCH_LUA") .. "/done.lua")

for name, value in pairs({
  ["accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  ["accept-encoding"] = "gzip, deflate, br, zstd",
  ["accept-language"] = "en-GB,en;q=0.9,de;q=0.7",
  ["authorization"] = "Bearer " .. string.rep("eyJhbGciOiJSUzI1NiJ9", 10),
  ["cache-control"] = "no-cache",
  ["cookie"] = "session=4f9d3c1a7b2e; theme=dark; consent=all; _ga=GA1.2.1234567890.1700000000",
  ["dnt"] = "1",
  ["if-none-match"] = '"6512f0a2-1d4"',
  ["origin"] = "http://reviews.default.svc.cluster.local",
  ["pragma"] = "no-cache",
  ["referer"] = "http://productpage.default.svc.cluster.local/productpage?u=normal",
  ["sec-fetch-dest"] = "empty",
  ["sec-fetch-mode"] = "cors",
  ["sec-fetch-site"] = "same-origin",
  ["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
  ["x-b3-sampled"] = "0",
  ["x-b3-spanid"] = "a2fb4a1d1a96d312",
  ["x-b3-traceid"] = "463ac35c9f6413ad48485a3953bb6124",
  ["x-tenant"] = "bookinfo",
}) do
  wrk.headers[name] = value
end
