"""`make bench`: every measurement, one after the other, on this machine and its own servers.

Each is a program of its own too (`python -m tests.bench.NAME --help`). Figures depend on the machine: compare
those of one run. Beside the workers stands the yardstick: what the client library alone can relay.
"""

import subprocess
import sys

#: Program → what it measures, and against which goal of the project.
MEASUREMENTS = {
    "inbound_resolver": "one inbound-resolver: goals 2,500 msg/s, and p99 below 60 ms at 500 msg/s",
    "status_updater": "one status-updater: goal 2,500 events/s",
    "outbound_sender": "one outbound-sender, a Cloud API that answers in 20 ms: goal 400 sends/s",
    "fairness": "what one number's trouble costs another's replies: goal p95 below 1 s",
    "sick_replica": "how soon a healthy resolver has the work of a sick one: goal 15 s",
    "row_lock": "what a locked row of one customer costs all others: goal a wait below 1 s",
    "erasure": "what erasing a customer of 100,000 messages costs others: goal a wait below 1 s",
    "joining": "customers of 1,000 messages joined: goal 200 ms; a resolver beside a million addresses: 0.95",
    "renames": "rows of before under another notation are renamed, messages meanwhile: no goal yet",
    "readiness": "how a resolver under full load answers probes: goals 200 each time, within 200 ms",
    "relay": "the yardstick: each client consumes, publishes with confirm and acknowledges, nothing else",
}


def main() -> int:
    """Run all; the exit code is that of the first that failed."""
    for name, what in MEASUREMENTS.items():
        print(f"\n{name}: {what}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
