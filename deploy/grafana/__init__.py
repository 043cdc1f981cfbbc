"""Dashboards as code: `generate` writes `dashboards/*.json`, `draw` shows their series without Grafana."""
