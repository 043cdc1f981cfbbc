"""Truth that is posted after the answer: answers are kept for a while, compared with labels, and the result counted."""
