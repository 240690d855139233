from __future__ import annotations

from tests.plugins.mosquitto import certificates, make_mosquitto, mosquitto
from tests.plugins.postgres import postgres_server, postgres_url

__all__ = ["certificates", "make_mosquitto", "mosquitto", "postgres_server", "postgres_url"]
