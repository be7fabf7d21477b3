"""The separation engine: Demucs' numbers (4.1.0) in memory that does not grow with the song.

The one room of the worker that knows torch and demucs. From the inside out:

- `segments`, `windows`: pure arithmetic, without torch;
- `device`, `loading`, `modules`: a model on its device;
- `transfer`, `batching`, `side_by_side`, `overlap_add`: the way of a batch of segments through it;
- `bag`: which models give which stems;
- `stream`: the driver.
"""
