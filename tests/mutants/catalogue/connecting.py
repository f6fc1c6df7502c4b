"""Connecting: all addresses, silent and moved servers, poolers, URLs (rules 2.9 and INTERFACE 1)."""

from typing import Final

from tests.mutants.mutation import Mutation

_FAILOVER: Final = "tests/integration/postgres/test_failover.py"
_POOLER: Final = "tests/integration/postgres/test_pgbouncer.py"
_REDIS: Final = "tests/integration/coordination/test_failover.py"
_ADDRESSES: Final = ("tests/unit/test_addresses.py",)
_URLS: Final = "tests/unit/test_server_urls.py"

MUTATIONS: Final = (
    Mutation(
        "a read-only PostgreSQL keeps its connections",
        "shared/postgres/database.py",
        "        if self._pool is pool:\n            self._pool = None\n",
        "        if self._pool is pool:\n            return\n",
        "2.9 a server found read-only costs the pool its connections",
        (f"{_FAILOVER}::test_one_that_meets_a_read_only_server_costs_the_pool_all_connections",),
    ),
    Mutation(
        "nobody notices a silent PostgreSQL",
        "shared/postgres/silence.py",
        "        if not await _is_at_work(connector, waiting):\n",
        "        if False:\n",
        "2.9 a server found silent costs the pool its connections",
        (f"{_FAILOVER}::test_a_forgotten_connection_is_given_up_and_a_slow_statement_is_not",),
    ),
    Mutation(
        "a statement that is given up hides the silence",
        "shared/postgres/connecting.py",
        "        except asyncpg.PostgresError:\n            self.asked_at = None\n            raise\n",
        "        except BaseException:\n            self.asked_at = None\n            raise\n",
        "2.9 a server found silent costs the pool its connections",
        (f"{_FAILOVER}::test_a_statement_that_its_caller_gives_up_does_not_hide_the_silence",),
    ),
    Mutation(
        "a slow statement is taken for a silent server",
        "shared/postgres/silence.py",
        "return bool(await fresh.fetchval(_AT_WORK, pids) == len(pids))",
        "return False",
        "2.9 only a silent server costs the pool its connections",
        (f"{_FAILOVER}::test_a_forgotten_connection_is_given_up_and_a_slow_statement_is_not",),
    ),
    Mutation(
        "the first address has all of the time",
        "shared/addresses.py",
        "share_s = max(deadline - clock(), 0) / (len(addresses) - tried)",
        "share_s = max(deadline - clock(), 0)",
        "2.9 every address of it is tried",
        _ADDRESSES,
    ),
    Mutation(
        "the kernel waits for an answer for ever",
        "shared/addresses.py",
        "        _keep_alive(opened, keep_alive)\n",
        "",
        "2.9 a server found silent costs the pool its connections",
        _ADDRESSES,
    ),
    Mutation(
        "a standby is taken though the primary is named, too",
        "shared/postgres/connecting.py",
        "if target.writes is False or not await _is_read_only(connection):",
        "if target.writes is False or not target.writes:",
        "2.9 every address of it is tried",
        (f"{_FAILOVER}::test_the_host_that_takes_writes_is_found_among_several",),
    ),
    Mutation(
        "a connection that goes between two steps of a statement ends the worker",
        "shared/postgres/connecting.py",
        "            if not self.is_closed():\n                raise\n",
        "            raise\n",
        "2.9 a server found silent costs the pool its connections",
        (
            f"{_FAILOVER}::test_a_statement_whose_connection_goes_between_two_steps_has_met_a_server_that_is_away",
        ),
    ),
    Mutation(
        "a silent RabbitMQ is waited for",
        "shared/amqp/opening.py",
        "return self.loop.time() - reader.heard_at > self._heartbeat_s + _LATE_S",
        "return False",
        "2.9 the same for RabbitMQ",
        (f"{_FAILOVER}::test_silence_is_known_by_the_missing_beats_alone",),
    ),
    Mutation(
        "a Redis that became a replica keeps its connections",
        "shared/coordination/client.py",
        "        await self._drop_connections()\n        if (url",
        "        if (url",
        "2.9 the same for Redis",
        (f"{_REDIS}::test_a_primary_that_became_a_replica_is_left_for_the_one_that_the_name_means_now",),
    ),
    Mutation(
        "only the first Sentinel is asked",
        "shared/coordination/reaching.py",
        "first_to_answer(self._hosts, self._ask,",
        "first_to_answer(self._hosts[:1], self._ask,",
        "2.9 every address of it is tried",
        (f"{_REDIS}::test_sentinel_names_the_new_primary_when_the_old_one_dies_and_so_do_those_left",),
    ),
    Mutation(
        "a Sentinel's certificate is held against its address",
        "shared/coordination/reaching.py",
        "reach=partial(_reach, sentinel)",
        "reach=_Route(((str(sentinel.sockaddr[0]), sentinel.port),), self._within_s).reach",
        "INTERFACE 1 TLS: host names are checked",
        (f"{_REDIS}::test_over_tls_sentinels_by_their_name_tell_the_primary_and_the_next_one",),
    ),
    Mutation(
        "statements are prepared for later behind a pooler",
        "shared/postgres/connecting.py",
        "statement_cache_size=0 if behind_pooler else 100",
        "statement_cache_size=100",
        "2.5 a pooler's error is the installation's",
        (f"{_POOLER}::test_statements_of_many_at_once_never_meet_each_others",),
    ),
    Mutation(
        "behind a pooler nothing bounds the wait for a lock",
        "shared/postgres/database.py",
        "async with self._short_session(lent) if _is_behind_pooler(lent) else nullcontext():",
        "async with lent.transaction() if _is_behind_pooler(lent) else nullcontext():",
        "2.5 a locked row keeps nobody else",
        (f"{_POOLER}::test_behind_a_pooler_each_transaction_has_the_settings_of_a_session",),
    ),
    Mutation(
        "migrators do not wait for each other",
        "schema/migrator.py",
        '        await conn.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)\n',
        "",
        "INTERFACE 6 wabus migrate by several at once",
        ("tests/integration/schema/test_migrator.py::test_five_migrators_at_once_do_the_work_once",),
    ),
    Mutation(
        "a rotated file is not read again",
        "shared/settings/environment.py",
        "            self._url = check_server_url(",
        "            check_server_url(",
        "INTERFACE 1 every secret has a _FILE twin",
        (f"{_URLS}::test_a_rotated_file_is_read_again_and_a_file_of_no_use_changes_nothing",),
    ),
    Mutation(
        "a Redis over TLS opens its own socket",
        "shared/coordination/reaching.py",
        "class _TLSConnection(_Connection, SSLConnection):",
        "class _TLSConnection(SSLConnection):",
        "INTERFACE 1 rediss:// for TLS",
        (f"{_URLS}::test_every_redis_url_is_refused_or_leads_to_a_server_that_is_away",),
    ),
    Mutation(
        "brackets hold anything",
        "shared/settings/server_urls.py",
        '    if named[1].startswith("["):\n',
        "    if False:\n",
        "INTERFACE 1 a URL that no client could use is one line at start",
        (f"{_URLS}::test_what_no_client_could_use_is_one_line_at_start",),
    ),
)
