"""Where requests go: Services, routes and weights, for one split between two versions."""
