"""Redis: locks, caches, shared rates (rules 1.2, 1.3, 4.6, 9)."""

from typing import Final

from tests.mutants.mutation import Mutation

_FOLDER: Final = "tests/integration/coordination"
_LOCKS: Final = (f"{_FOLDER}/test_locks.py",)
_CACHE: Final = (f"{_FOLDER}/test_cache.py",)
_RULES: Final = f"{_FOLDER}/test_rate_rules.py"
_PERMIT: Final = "shared/coordination/rate_permit.lua"

MUTATIONS: Final = (
    Mutation(
        "health asks Redis for less than workers do",
        "shared/running/probes.py",
        "await check_redis(self._redis)",
        "await self._redis.ping()",
        "INTERFACE 7 health says whether Redis serves",
        ("tests/integration/cli/test_cli_doctor_servers.py",),
    ),
    Mutation(
        "anybody releases a lock",
        "shared/coordination/lock_release.lua",
        "if redis.call('GET', key) == ARGV[1] then",
        "if redis.call('GET', key) then",
        "1.2 released only by its owner",
        _LOCKS,
    ),
    Mutation(
        "anybody extends a lock",
        "shared/coordination/lock_extend.lua",
        "if redis.call('GET', key) == ARGV[1] then",
        "if redis.call('GET', key) then",
        "1.2 a lock has a random owner token",
        _LOCKS,
    ),
    Mutation(
        "a taken lock is taken again",
        "shared/coordination/lock_acquire.lua",
        "'NX', 'PX', ARGV[2]",
        "'PX', ARGV[2]",
        "1.2 locks serialise the work on one customer",
        _LOCKS,
    ),
    Mutation(
        "a lock has no end",
        "shared/coordination/lock_acquire.lua",
        "'NX', 'PX', ARGV[2]",
        "'NX'",
        "1.2 a lock has a TTL",
        _LOCKS,
    ),
    Mutation(
        "a lock is not extended while its work runs",
        "shared/coordination/locks.py",
        "held.owned = await self.extend(held.token, held.owned)",
        "held.owned = held.owned",
        "1.2 extended while long work runs",
        _LOCKS,
    ),
    Mutation(
        "contention is not counted",
        "shared/coordination/locks.py",
        "        self._count_failures(len(left))\n",
        "",
        "1.2 counted as lock failures",
        _LOCKS,
    ),
    Mutation(
        "without Redis everything waits for its locks",
        "shared/coordination/locks.py",
        "ready = held.owned if held.is_available else left",
        "ready = held.owned",
        "9 Redis away: locks give way to database guards",
        _LOCKS,
    ),
    Mutation(
        "a cached mapping lives for ever",
        "shared/coordination/cache_set.lua",
        "ARGV[i + 1], 'PX', ARGV[1])",
        "ARGV[i + 1])",
        "1.3 TTL 24 h",
        _CACHE,
    ),
    Mutation(
        "a conversation is not cached",
        "shared/messaging/conversations/cache.py",
        "return (customer, conversation_key(mapping.conversation_id))",
        "return (customer,)",
        "1.3 both caches are written",
        _CACHE,
    ),
    Mutation(
        "a corrupt value stays in the cache",
        "shared/messaging/conversations/cache.py",
        "        await self.remove_many([key for key in stored if key not in found])\n",
        "",
        "1.3 a cache is never trusted",
        _CACHE,
    ),
    Mutation(
        "a customer has no limit of their own",
        _PERMIT,
        "if arrival - tolerance > now then",
        "if arrival - tolerance > now + 1e15 then",
        "4.6 one per 6 s per customer with a burst of 45",
        (_RULES, f"{_FOLDER}/test_rate_limiter.py"),
    ),
    Mutation(
        "a burst to a customer is one longer",
        _PERMIT,
        "local tolerance = (burst - 1) * interval",
        "local tolerance = burst * interval",
        "4.6 a burst of 45",
        (_RULES, f"{_FOLDER}/test_rate_limiter.py"),
    ),
    Mutation(
        "lower lanes starve",
        _PERMIT,
        "elseif l > lane and credit[l] >= ALMOST_ONE then",
        "elseif l > LANES then",
        "4.6 a lane that waits gets at least a tenth",
        (_RULES,),
    ),
    Mutation(
        "a slowed number goes on",
        _PERMIT,
        "elseif blocked_until > now then",
        "elseif blocked_until > now + 1e15 then",
        "4.5 the number slows down, Retry-After honoured",
        (_RULES,),
    ),
    Mutation(
        "the number's whole allowance is used",
        "shared/coordination/permits.py",
        "return mps * durations.number_rate_share",
        "return mps",
        "4.6 90 % of its allowance",
        (_RULES,),
    ),
    Mutation(
        "the time of who may not ask yet runs all the same",
        "shared/coordination/rate.py",
        "_LaneQueue(asyncio.Semaphore(most))",
        "_LaneQueue(asyncio.Semaphore(100 * most))",
        "2.10 a message waits for its own customer, number and lane",
        ("tests/unit/test_sender_pacing.py", f"{_FOLDER}/test_rate_limiter.py"),
    ),
    Mutation(
        "each process has the whole rate without Redis",
        "shared/coordination/rate.py",
        "self._local.consumers = max(1, count)",
        "self._local.consumers = 1",
        "9 Redis away: mps divided by the consumers of the queue",
        (_RULES, f"{_FOLDER}/test_rate_limiter.py"),
    ),
)
