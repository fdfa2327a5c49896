-- Names under .localhost are this machine, which not every resolver knows.
function wrk.resolve(host, service)
   if host:match("%.localhost$") then host = "127.0.0.1" end
   wrk.addrs = wrk.lookup(host, service)
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n',
      summary.requests, summary.duration / 1e6, failed,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
