-- Delete the keys that this owner still holds; another's stay.
-- KEYS: lock keys. ARGV: 1 owner's token. Returns how many were deleted.
local released = 0
for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        released = released + redis.call('DEL', key)
    end
end
return released
