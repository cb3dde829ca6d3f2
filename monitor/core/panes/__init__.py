"""Counting events into panes: accumulators, layout, watermarks, pane and profile messages."""
