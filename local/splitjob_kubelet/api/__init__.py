"""What the node says to the API server, and how it proves who it is."""
