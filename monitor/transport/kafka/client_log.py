"""Loggers of the Kafka code; handlers limit repeated records (``monitor.logs``)."""

from __future__ import annotations

import logging

LOG = logging.getLogger("driftline.kafka")
"""For Driftline's own records."""
CLIENT_LOG = logging.getLogger("driftline.kafka.client")
"""For librdkafka's records."""
