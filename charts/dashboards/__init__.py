"""Grafana dashboards as code: `python charts/dashboards` (`make generate`) writes the JSON that the chart ships.

The JSON is committed, so that neither Helm nor a user needs Python; a test compares it with what this package builds.
"""
