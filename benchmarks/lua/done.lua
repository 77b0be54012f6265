-- Shared by all scripts: the result as one line of JSON.
done = function(summary, latency)
  local e = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "failed": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
