"""Dashboards for Grafana: what they show, and the files that Grafana reads.

`boards/` says in Python what each shows; `python -m deploy.grafana` writes `dashboards/` from it. Metrics are
those of `shared.observability.metrics`; what is an alert stands in `deploy/prometheus/`.
"""
