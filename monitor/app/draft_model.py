"""Model files in which kinds may be missing, to be inferred from a reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.events import DEFAULT_TENANT

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.baseline.draft import ColumnDecision, ModelDraft
    from schemas.baselines import Kind
    from schemas.config.model import ModelConfig


class DraftModel:
    """A model file that may not yet be a complete config.

    Parameters
    ----------
    draft : ModelDraft
        Content of the file.
    config : ModelConfig or None
        None while kinds are missing.
    """

    def __init__(self, file: Path, draft: ModelDraft, config: ModelConfig | None) -> None:
        self.file, self._draft = file, draft
        self.config = config
        self.is_written = False
        self.decisions: list[ColumnDecision] = []
        """Decisions by column: inferred kinds, or all columns if they are to be explained."""

    @staticmethod
    def read(file: Path) -> DraftModel:
        """Read a model file; errors in a complete one are raised immediately."""
        from monitor.app.installation import read_config
        from monitor.baseline.draft import ModelDraft
        from monitor.notify.config_types import model_type

        draft = ModelDraft(read_config(file), str(file), model_type())
        return DraftModel(file, draft, draft.config() if draft.is_complete else None)

    @property
    def key(self) -> tuple[str, str] | None:
        """Tenant and model, if the file has a model name."""
        sections = self._draft.sections
        model, tenant = sections.get("model"), sections.get("tenant", DEFAULT_TENANT)
        return (str(tenant), model) if isinstance(model, str) else None

    @property
    def lists_features(self) -> bool:
        """Whether the file lists features; otherwise every suitable column becomes one."""
        return self._draft.open_features is not None

    def named(self) -> ModelConfig:
        """Return the config; raise if kinds are missing.

        Stored traffic has numbers and categories in separate columns, so kinds cannot be inferred.
        """
        return self.config or self._draft.config()

    def complete(self, table: pa.Table, *, explain: bool) -> ModelConfig:
        """Infer missing kinds; describe the other columns on request."""
        from monitor.baseline.draft import complete_draft, explain_columns

        if self.config is None:
            self.config, decisions = complete_draft(table, self._draft)
            self.decisions = decisions if explain else [d for d in decisions if d.is_inferred]
        elif explain:
            self.decisions = explain_columns(table, self.config)
        return self.config

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kinds that were inferred."""
        return {d.name: d.kind for d in self.decisions if d.is_inferred and d.kind is not None}

    def write(self) -> None:
        """Write the inferred kinds into the file, atomically."""
        from monitor.baseline.kind_lines import with_kinds

        if not self.kinds:
            return
        target = self.file.resolve()
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_bytes(with_kinds(self._draft, self.kinds).encode())
        os.replace(temporary, target)  # noqa: PTH105
        self.is_written = True

    def facts(self) -> dict[str, Any]:
        """Return the decisions for JSON output."""
        columns = [
            {
                "name": d.name,
                "shape": str(d.shape),
                "kind": None if d.kind is None else str(d.kind),
                "is_inferred": d.is_inferred,
                "reason": d.reason,
            }
            for d in self.decisions
        ]
        return {"columns": columns, "is_written": self.is_written}
