"""What each system must beat, tuned with the same care."""
