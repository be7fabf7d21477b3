"""From the caller's URL to stereo samples at the model's rate: fetch, then decode in a sandbox."""
