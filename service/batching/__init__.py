"""Dynamic batching: a bounded, deadline-aware queue in front of a function that works on whole batches."""
