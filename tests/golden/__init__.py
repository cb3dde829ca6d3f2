"""Recorded bytes of what Driftline writes to its topics, and the code that writes them.

``python -m tests.golden`` records them again; ``test_golden_bytes`` compares.
"""
