"""Other people's servers, each with a client that gives it the same work."""
