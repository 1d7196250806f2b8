"""What is said beside every score."""

RESEARCH_ONLY = "Research only, not for diagnosis."
