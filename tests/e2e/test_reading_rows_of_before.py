"""The scheduler killed while it reads rows of before: another one goes on where it ended."""

from tests.support.before import LEFT, PEOPLE, add_people_of_before, count, judge_people
from tests.support.cluster import Cluster
from tests.support.processes import Processes
from tests.support.waiting import until


async def test_rows_are_read_to_their_end_though_the_scheduler_is_killed_half_way(
    cluster: Cluster, processes: Processes
) -> None:
    await add_people_of_before(cluster.conn, PEOPLE)
    first = processes.start("scheduler")
    await until(lambda: _is_left(cluster, 3 * PEOPLE))
    first.end()
    left = await count(cluster.conn, LEFT)
    second = processes.start("scheduler")
    await until(lambda: _is_left(cluster, 0), timeout_s=120)
    await second.until_says("all rows of before name their customer now")

    assert 0 < left < 6 * PEOPLE
    await judge_people(cluster.conn, PEOPLE)


async def _is_left(cluster: Cluster, most: int) -> bool:
    return await count(cluster.conn, LEFT) <= most
