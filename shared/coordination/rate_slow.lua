-- The platform refused a business number for its rate: stop it, then let it go on at a lower rate.
-- Refusals that arrive while it is stopped are of the same event: they may prolong the stop, not cut again.
-- At the lowest rate, a refusal soon after a stop doubles it; others only find where the platform's limit is.
--
-- KEYS: 1 hash of the number.
-- ARGV (times in microseconds): 1 the platform's retry-after or -1, 2 first and 3 longest pause without one,
--   4 share of the rate that a cut leaves, 5 floor of it, 6 recovery of a cut rate.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local retry_after, first, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local cut, floor, recovery = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local values = redis.call('HMGET', KEYS[1], 'factor', 'factor_at', 'blocked_until', 'cuts')
local factor = (tonumber(values[1]) or 1) + math.max(0, now - (tonumber(values[2]) or 0)) / recovery
local blocked_until = tonumber(values[3]) or 0
local cuts = tonumber(values[4]) or 0
local last_stop = math.min(longest, first * 2 ^ (cuts - 1))
if math.min(1, factor) * cut > floor or now - blocked_until > last_stop then
    cuts = 0 -- a lower rate is still to be tried, or it went well for longer than it had stopped
end
if blocked_until > now then
    factor = tonumber(values[1])
else
    factor = math.max(floor, math.min(1, factor) * cut)
    cuts = cuts + 1
    blocked_until = now + math.min(longest, first * 2 ^ (cuts - 1))
    if retry_after >= 0 then
        blocked_until = now + retry_after
    end
end
blocked_until = math.max(blocked_until, now + retry_after)
redis.call('HSET', KEYS[1], 'factor', string.format('%.9f', factor), 'cuts', cuts,
    'factor_at', string.format('%.0f', blocked_until), 'blocked_until', string.format('%.0f', blocked_until))
redis.call('HSETNX', KEYS[1], 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((blocked_until - now + 2 * recovery) / 1000))
return {blocked_until - now}
