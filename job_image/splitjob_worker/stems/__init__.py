"""From the model's samples to finished files: clipping, encoding, tags, one file for each stem."""
