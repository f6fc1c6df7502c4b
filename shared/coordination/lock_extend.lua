-- Give the keys that this owner still holds their full TTL again.
-- KEYS: lock keys. ARGV: 1 owner's token, 2 TTL in ms.
-- Returns 1 (still owned) or 0 (expired, lost or another's), in the order of KEYS.
local result = {}
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        result[i] = redis.call('PEXPIRE', key, ARGV[2])
    else
        result[i] = 0
    end
end
return result
