"""The processes themselves, and the servers that they need."""

from typing import Final

from deploy.grafana.panels import Board, Kind, Panel, number, quantile, rate

_OURS: Final = '{job="wabus"}'

SERVERS: Final = Board(
    "servers",
    "Servers",
    "The workers' processes, and RabbitMQ, PostgreSQL, Redis and the Cloud API as workers see them.",
    (
        Panel(
            "Can workers use their servers?",
            "The worst answer of all workers. Normal: yes everywhere; one no at a restart is nothing.",
            "none",
            {"{{dependency}}": "min by (dependency) (wabus_dependency_up)"},
            Kind.STATES,
            12,
            words={0: ("no", "red"), 1: ("yes", "green")},
        ),
        Panel(
            "RabbitMQ's alarms",
            "Where one is on, nobody can publish. Normal: off.",
            "none",
            {
                "memory": "max(rabbitmq_alarms_memory_used_watermark)",
                "disk": "max(rabbitmq_alarms_free_disk_space_watermark)",
            },
            Kind.STATES,
            12,
            words={0: ("off", "green"), 1: ("on", "red")},
        ),
        number(
            "Schedulers at work",
            "Replicas that hold the lease. Normal: 1; 0 for a few seconds when another takes over.",
            "none",
            "sum(wabus_scheduler_lease)",
            ((None, "red"), (1, "green"), (2, "red")),
        ),
        number(
            "Versions running",
            "Versions of wabus among all processes. Normal: 1; 2 during an upgrade.",
            "none",
            "count(count by (version) (wabus_build_info))",
            ((None, "green"), (2, "orange")),
        ),
        Panel(
            "Jobs of the scheduler that are late",
            "For how long a due job has not ended well: it fails, or hangs. Normal: 0; 300 s is an alert.",
            "s",
            {
                "{{name}}": "clamp_min(time() - max by (name) (wabus_job_last_success_timestamp_seconds)"
                " - max by (name) (wabus_job_interval_seconds), 0)"
            },
        ),
        Panel(
            "Failures of the scheduler's jobs each second",
            "Runs that ended with an error; the log says which. Normal: 0.",
            "cps",
            {"{{name}}": rate("wabus_job_failures_total", "name")},
        ),
        Panel(
            "Processes of each worker",
            "Those that answer Prometheus. Normal: as many as were started.",
            "none",
            {"{{service}}": f"sum by (service) (up{_OURS})"},
        ),
        Panel(
            "Last sign of life",
            "How long ago the slowest loop of a worker turned. Normal: below 10 s; 120 s is an alert.",
            "s",
            {"{{worker}}": "max by (worker) (time() - wabus_last_progress_timestamp_seconds)"},
        ),
        Panel(
            "Memory of each process",
            "Resident memory. Normal: below 150 MB, and level.",
            "bytes",
            {"{{service}} {{instance}}": f"process_resident_memory_bytes{_OURS}"},
        ),
        Panel(
            "Processor time of each process",
            "1 is one core in full use: a worker uses no more. Normal: below 0.8, else start more of it.",
            "none",
            {"{{service}} {{instance}}": rate(f"process_cpu_seconds_total{_OURS}", "service", "instance")},
        ),
        Panel(
            "Tasks in each process",
            "Tasks of the event loop. Normal: follows the traffic; growth without end is a leak.",
            "none",
            {"{{service}} {{instance}}": f"asyncio_tasks{_OURS}"},
        ),
        Panel(
            "RabbitMQ's memory",
            "At its limit RabbitMQ stops publishers. Normal: well below half of the limit.",
            "bytes",
            {
                "used": "max(rabbitmq_process_resident_memory_bytes)",
                "limit": "min(rabbitmq_resident_memory_limit_bytes)",
            },
        ),
        Panel(
            "RabbitMQ's free disk",
            "Below its limit RabbitMQ stops publishers. Normal: many times the limit.",
            "bytes",
            {
                "free": "min(rabbitmq_disk_space_available_bytes)",
                "limit": "max(rabbitmq_disk_space_available_limit_bytes)",
            },
        ),
        Panel(
            "Connections to RabbitMQ",
            "Of workers and gateways. Normal: level; many more than processes is a client that leaks.",
            "none",
            {"open": "sum(rabbitmq_connections)"},
        ),
        Panel(
            "Time until RabbitMQ confirms a message",
            "95 of 100 are faster. Normal: below 50 ms.",
            "s",
            {"until confirmed": quantile(0.95, "wabus_publish_confirm_seconds")},
        ),
        Panel(
            "Time to take a customer's lock in Redis",
            "95 of 100 are faster. Normal: acquired, below 10 ms; unavailable means that Redis is away.",
            "s",
            {"{{outcome}}": quantile(0.95, "wabus_lock_acquire_seconds", "outcome")},
        ),
        Panel(
            "Messages worked without their lock each second",
            "The database alone keeps them apart: right, but slower. Normal: 0.",
            "mps",
            {"without a lock": rate("wabus_lock_acquisition_failures_total")},
        ),
        Panel(
            "Cache of conversations in Redis",
            "Operations each second, by result. Normal: get ends in hit or miss, never in error.",
            "ops",
            {"{{operation}} {{result}}": rate("wabus_cache_operations_total", "operation", "result")},
        ),
        Panel(
            "Time to find or open a conversation",
            "In Redis or PostgreSQL; 95 of 100 are faster. Normal: below 50 ms.",
            "s",
            {
                "{{operation}}, from the cache: {{cache_hit}}": quantile(
                    0.95, "wabus_mapping_resolution_duration_seconds", "operation", "cache_hit"
                )
            },
        ),
    ),
)
