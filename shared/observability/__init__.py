"""What a running worker shows: metrics, logs, traces, health."""
