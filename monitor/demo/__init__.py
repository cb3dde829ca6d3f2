"""The demo's world: census data, a model, three faults."""
