"""Loggers of the Kafka code; handlers limit repeated records (``monitor.logs``)."""

from __future__ import annotations

import logging

LOG = logging.getLogger("driftline.kafka")
"""Logger of Driftline's records."""
CLIENT_LOG = logging.getLogger("driftline.kafka.client")
"""Logger of librdkafka's records."""
