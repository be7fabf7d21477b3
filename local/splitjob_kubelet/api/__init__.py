"""The client of the API server: requests, events, and the credentials from a kubeconfig."""
