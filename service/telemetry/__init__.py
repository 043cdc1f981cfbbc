"""What an operator sees of a request besides metrics: its stages as spans of a trace, and lines in the log."""
