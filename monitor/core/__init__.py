"""Pure functions of the pipeline: time is an argument, nothing is read or written."""
