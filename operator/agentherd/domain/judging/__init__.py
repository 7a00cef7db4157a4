"""Whether a new version is worse: what is counted and measured, what it proves, what follows."""
