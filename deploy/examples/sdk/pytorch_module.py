"""A PyTorch module whose forward pass is reported, row by row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from driftline import Reporter


class ReportedModule(torch.nn.Module):
    """Wraps a classifier: rows of features in, probabilities out, both reported.

    Parameters
    ----------
    inner : torch.nn.Module
        Gives one logit a row.
    reporter : Reporter
        With ``feature_names`` in the order of the columns.
    """

    def __init__(self, inner: torch.nn.Module, reporter: Reporter) -> None:
        super().__init__()
        self.inner = inner
        self.reporter = reporter

    def forward(self, rows: torch.Tensor, ids: Sequence[str] | None = None) -> torch.Tensor:
        """Return the probabilities; in training nothing is reported."""
        scores = torch.sigmoid(self.inner(rows).squeeze(-1))
        if not self.training:
            # One copy off the device for the batch, not one for each value.
            seen, said = rows.detach().cpu().tolist(), scores.detach().cpu().tolist()
            for i, (row, score) in enumerate(zip(seen, said, strict=True)):
                self.reporter.predict(row, score=score, id=ids[i] if ids else None)
        return scores
