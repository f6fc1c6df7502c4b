-- May messages, each to one customer, go from one business number now? By the clock of Redis alone. They are
-- asked for in their order, up to the first for which the number must wait.
--
-- The pair (number, customer) has a theoretical arrival time (GCRA), the number a token bucket that all lanes
-- share. Each lane earns a guaranteed credit at its least share of the rate. A lane takes a token when no
-- higher lane waits and none is kept for a lower waiting lane that has a credit, or on a credit of its own.
-- A refused lane that will come back is waiting until then; one that does not come loses its claim.
--
-- KEYS: 1 hash of the number, then the arrival time of the pair of each message.
-- ARGV (times in microseconds): 1 lane, 1 = first served, 2 tokens a second, 3 most tokens, 4 least share of a
--   lane, 5 interval of a pair, 6 burst of a pair, 7 longest back-off of a pair, 8 longest wait for which the
--   caller comes back, 9 how long its claim then lasts, 10 recovery of a cut rate.
-- Returns for each message that was asked for {1} or {0, wait, 'pair' | 'number' | 'slowed'}.
local LANES, MOST_CREDIT, ALMOST_ONE = 3, 2, 1 - 1e-6
local AT_ONCE_S = 1e-6 -- the resolution of the clock: less is no wait

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lane, full_rate, most_tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local least_share = tonumber(ARGV[4])
local interval, burst, longest_back_off = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local patience, grace, recovery = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

-- After a failover to a server whose clock is behind, all times are moved back with it, once.
local at = tonumber(redis.call('HGET', KEYS[1], 'at')) or now
if at > now then
    for _, name in ipairs({'at', 'factor_at', 'blocked_until', 'waits1', 'waits2', 'waits3'}) do
        local value = tonumber(redis.call('HGET', KEYS[1], name)) or 0
        redis.call('HSET', KEYS[1], name, string.format('%.0f', value - (at - now)))
    end
    at = now
end

local stored = redis.call('HMGET', KEYS[1], 'tokens', 'factor', 'factor_at', 'blocked_until',
    'credit1', 'credit2', 'credit3', 'waits1', 'waits2', 'waits3')
local blocked_until = tonumber(stored[4]) or 0
local factor = math.min(1, (tonumber(stored[2]) or 1) + math.max(0, now - (tonumber(stored[3]) or 0)) / recovery)
local rate = full_rate * factor
local gained = math.max(0, now - math.max(at, blocked_until)) / 1000000 * rate
local tokens = math.min(most_tokens, (tonumber(stored[1]) or 1) + gained)
local credit, waits = {}, {}
for l = 1, LANES do
    credit[l] = math.min(MOST_CREDIT, (tonumber(stored[4 + l]) or 0) + gained * least_share)
    waits[l] = tonumber(stored[7 + l]) or 0
end

local higher_until, kept = 0, 0
for l = 1, LANES do
    if waits[l] > now then
        if l < lane then
            higher_until = math.max(higher_until, waits[l])
        elseif l > lane and credit[l] >= ALMOST_ONE then
            kept = kept + 1
        end
    end
end

local function wait_for_number()
    if credit[lane] >= ALMOST_ONE then
        return (1 - tokens) / rate
    elseif higher_until > 0 then
        local turn_s = math.min((1 - credit[lane]) / (rate * least_share), (higher_until - now) / 1000000)
        return math.max(turn_s, (1 - tokens) / rate)
    end
    return (1 + kept - tokens) / rate
end

local tolerance = (burst - 1) * interval
local answers, asked = {}, false
for i = 2, #KEYS do
    -- The pair first: a customer at the limit has no claim on the number.
    local arrival = math.max(now, tonumber(redis.call('GET', KEYS[i])) or 0)
    arrival = math.min(arrival, now + tolerance + math.max(interval, longest_back_off)) -- the clock was set back
    if arrival - tolerance > now then
        answers[i - 1] = {0, arrival - tolerance - now, 'pair'}
    elseif blocked_until > now then
        answers[i - 1] = {0, blocked_until - now, 'slowed'}
        break
    else
        asked = true
        local wait_s = wait_for_number()
        if wait_s > AT_ONCE_S then
            local wait = math.ceil(wait_s * 1000000)
            if wait <= patience then
                waits[lane] = math.max(waits[lane], now + wait + grace)
            end
            answers[i - 1] = {0, wait, factor < 1 and 'slowed' or 'number'}
            break
        end
        tokens = math.max(0, tokens - 1)
        credit[lane] = math.max(0, credit[lane] - 1)
        arrival = arrival + interval
        redis.call('SET', KEYS[i], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
        answers[i - 1] = {1}
    end
end

if asked then
    redis.call('HSET', KEYS[1], 'at', string.format('%.0f', now), 'tokens', string.format('%.9f', tokens),
        'credit1', string.format('%.9f', credit[1]), 'credit2', string.format('%.9f', credit[2]),
        'credit3', string.format('%.9f', credit[3]), 'waits' .. lane, string.format('%.0f', waits[lane]))
    redis.call('PEXPIRE', KEYS[1], math.ceil(2 * recovery / 1000))
end
return answers
