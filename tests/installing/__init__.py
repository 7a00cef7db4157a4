"""What is installed, as tests and `make lint-install` look at it."""
