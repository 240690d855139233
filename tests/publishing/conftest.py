from __future__ import annotations

from tests.plugins.mosquitto import certificates, make_mosquitto, mosquitto

__all__ = ["certificates", "make_mosquitto", "mosquitto"]
