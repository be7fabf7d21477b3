"""From finished, or still growing, files to the bucket or the caller's presigned URLs."""
