"""The HTTP API, the studio and posters."""
