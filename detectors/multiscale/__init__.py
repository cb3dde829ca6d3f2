"""The multi-scale decision rule: components, movement, evidence, thresholds, onset."""
