"""What the API and the operator ask of the Kubernetes API alike."""
