"""Composition root of the scheduler: every job and its pace."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

from shared.commerce.notices.moving import move_notices
from shared.commerce.notices.reminding import Reminders
from shared.commerce.shops.file import read_shops
from shared.coordination.rate_shared import SharedRates
from shared.deadletters.replay import Replayer
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.before import RowsOfBefore
from shared.messaging.customers.following import Follower
from shared.messaging.messages import Tracker
from shared.postgres.lease import SCHEDULER, Lease
from shared.running.kit import Kit, SideTask, Worker, WorkerSpec
from workers.scheduler.ambiguity import AmbiguityJob
from workers.scheduler.before import BeforeJob
from workers.scheduler.campaigns import CampaignsJob, SkippedJob
from workers.scheduler.carts import LeftCartsJob
from workers.scheduler.clock import Clock, Job
from workers.scheduler.expiry import ExpiryJob
from workers.scheduler.forgotten import ForgottenMessages
from workers.scheduler.gauges import GaugesJob
from workers.scheduler.lost import LostJob
from workers.scheduler.notices import NoticesJob
from workers.scheduler.republishing import DeferredJob, FollowersJob, UnmarkedJob
from workers.scheduler.retention import RetentionJob


def compose(kit: Kit) -> Worker:
    """Build the clock and its jobs."""
    gauges = GaugesJob(
        kit.database, kit.broker, kit.metrics, kit.ages, enriched_queue=kit.settings.enriched_queue
    )
    rates = SharedRates(kit.redis, kit.durations)
    cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
    follower = Follower(kit.database, kit.outbox, cache, kit.metrics)
    tracker = Tracker(kit.database, kit.outbox, kit.metrics, kit.durations, rates, follower, move_notices)
    ambiguity = AmbiguityJob(kit, tracker)

    def forget() -> None:
        gauges.forget()
        ambiguity.forget()

    clock = Clock(
        Lease(kit.database, SCHEDULER, uuid4(), kit.durations.scheduler_lease_s),
        kit.state,
        kit.metrics,
        renew_s=kit.durations.scheduler_lease_s / 5,
        on_loss=forget,
    )
    jobs = [*_jobs(kit, tracker, ambiguity), Job("gauges", kit.durations.gauges_s, gauges.run)]
    tasks: list[SideTask] = [("lease", clock.keep_lease)]
    tasks += [(job.name, _running(clock, job)) for job in jobs]
    return Worker(tasks=tasks, closers=(clock.give_back,))


def _jobs(kit: Kit, tracker: Tracker, ambiguity: AmbiguityJob) -> list[Job]:
    durations, settings, database, outbox = kit.durations, kit.settings, kit.database, kit.outbox
    tick_s = durations.scheduler_tick_s
    cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
    expiry = ExpiryJob(
        database,
        outbox,
        cache,
        kit.metrics,
        ttl_hours=settings.conversation_ttl_hours,
        rows=durations.expiry_rows,
    )
    forgotten = ForgottenMessages(database, tracker, outbox, kit.metrics, durations.status_unmatched_h)
    reminders = Reminders(database, outbox, kit.metrics, read_shops(settings.shops_file))
    before = RowsOfBefore(database, outbox, cache, kit.metrics)
    return [
        Job("deferred messages", tick_s, DeferredJob(kit.deferrals, kit.broker, settings, durations).run),
        Job("forgotten followers", durations.unmarked_after_s, FollowersJob(kit.deferrals).run),
        Job("ambiguous sends", tick_s, ambiguity.run),
        Job(
            "lost messages",
            durations.status_match_s,
            LostJob(database, kit.broker, kit.metrics, durations).run,
        ),
        Job("campaigns", tick_s, CampaignsJob(database, kit.broker, outbox).run),
        Job("carts", tick_s, reminders.run),
        Job("notices", tick_s, NoticesJob(database, kit.broker).run),
        Job(
            "skipped recipients",
            durations.unmarked_after_s / 3,
            SkippedJob(database, tracker, outbox, durations.expiry_rows).run,
        ),
        Job("unmarked publications", durations.unmarked_after_s / 3, UnmarkedJob(outbox, durations).run),
        Job("unmatched statuses", durations.status_match_s, tracker.match_waiting),
        Job(
            "replays",
            durations.auto_replay_s / 10,
            Replayer(database, kit.broker.publisher, durations).replay_due,
        ),
        Job("rows of before", durations.unmarked_after_s / 3, BeforeJob(database, before).run),
        Job(
            "left carts",
            durations.retention_s,
            LeftCartsJob(database, outbox, kit.metrics, durations).run,
        ),
        Job("expiry", settings.expiry_job_interval_minutes * 60, expiry.run),
        Job(
            "retention",
            durations.retention_s,
            RetentionJob(database, forgotten, durations).run,
        ),
    ]


def _running(clock: Clock, job: Job) -> Callable[[], Coroutine[Any, Any, None]]:
    return lambda: clock.run(job)


SPEC = WorkerSpec("scheduler", compose)
