"""`make pictures`: the dashboards of Grafana as pictures, drawn from what a real Prometheus scraped.

Owns `deploy/grafana/pictures/`. They show panels as they are described, and are no screenshots of Grafana.
"""
