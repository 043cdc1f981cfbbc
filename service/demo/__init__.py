"""What a newcomer runs: a recorded sample, replayed over real HTTP and shown beside the truth."""
