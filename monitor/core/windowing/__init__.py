"""Counting events into panes: accumulators, layout, watermarks, pane and baseline messages."""
