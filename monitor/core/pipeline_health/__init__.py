"""Health of the pipeline: rejected, late and missing data, dead-letter limits."""
