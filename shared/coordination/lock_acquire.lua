-- Take every free key for one owner. Nothing is undone where others hold some of them.
-- KEYS: lock keys. ARGV: 1 owner's token, 2 TTL in ms.
-- Returns 1 (owned now) or 0 (taken), in the order of KEYS.
local result = {}
for i, key in ipairs(KEYS) do
    if redis.call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2]) then
        result[i] = 1
    else
        result[i] = 0
    end
end
return result
