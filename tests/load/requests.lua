-- Sends the requests of a file in turn, each thread from a place of its own, and tells what came of them as JSON.
-- Lines: method, path, token, body, If-None-Match, separated by tabs; what is not sent is empty.
local threads = {}
local sent, at = {}, 0

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(args)
  for line in io.lines(args[1]) do
    local method, path, token, body, etag = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)")
    local headers = {}
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body ~= "" then headers["Content-Type"] = "application/json" end
    if etag ~= "" then headers["If-None-Match"] = etag end
    table.insert(sent, wrk.format(method, path, headers, body ~= "" and body or nil))
  end
  at = number * 7919
end

function request()
  at = at + 1
  return sent[at % #sent + 1]
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"answers": %d, "seconds": %f, "refused": %d, "broken": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
