"""What brings a cluster up, what plays with one, and what watches one.

`stack` starts servers on this machine, `sandbox` plays the WhatsApp Cloud API, `demo` plays a day of
traffic and judges it, `commands` are their part of the command line. `kubernetes` and `systemd` run the
workers on a cluster and on a machine; `postgres` and `rabbitmq` hold what `docker-compose.yml` gives to its
servers. `prometheus`, `grafana` and `runbook.md` are for whoever is on call, `examples` and `connect.md` for
gateways. No worker imports anything from here.
"""
