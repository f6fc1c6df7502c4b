-- The platform refused one customer of a number for the pair's rate: nothing more to them for a while.
-- KEYS: 1 arrival time of the pair. ARGV (microseconds): 1 pause, 2 tolerance of the pair, 3 its interval.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[1])) or 0, now + ARGV[1] + ARGV[2])
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now + ARGV[3]) / 1000))
return 1
