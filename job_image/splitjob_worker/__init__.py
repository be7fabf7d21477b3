"""The program in the GPU pod: one song in, its stems out."""
