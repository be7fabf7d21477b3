"""The node's HTTPS endpoint: logs, exec and port-forward, as the API server asks for them."""
