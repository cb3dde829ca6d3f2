"""Interface of retraining targets: settings, and construction."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import ConfigDict

from monitor.notify.receivers.protocol import Receiver
from schemas.config.model import RetrainingConfig


class RetrainingTarget(RetrainingConfig):
    """Settings of one kind of target. A subclass sets ``kind: Literal[...]`` and adds fields.

    Unknown keys are rejected. Fields of type ``EnvironmentName`` are checked by
    ``driftline check``, and the values of their variables are redacted in logs.
    """

    model_config = ConfigDict(extra="forbid")

    @abstractmethod
    def build(self, model: str) -> Receiver:
        """Build the target of this model; secrets come from the environment.

        Raises
        ------
        ConfigError
            If an environment variable that the settings name is not set.
        """
