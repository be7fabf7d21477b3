"""The Kubernetes API, as API and operator both use it: connection, client, errors, checks."""
