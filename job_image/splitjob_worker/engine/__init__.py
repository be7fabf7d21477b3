"""The separation engine: Demucs' numbers (4.1.0) in memory that does not grow with the song.

The only package of the worker that imports torch and Demucs. From the inside out:

- `options`, `weights`, `segments`, `windows`: without torch;
- `device`, `loading`, `modules`, `transforms`: a model on its device;
- `bag`: which models give which stems;
- `transfer`, `batching`, `parallel_passes`, `overlap_add`: a batch of segments through a model;
- `model_run`, `stream`: one model, then all models of a bag, through a song;
- `separator`: a model in memory that separates one song after the other;
- `export`, `hub`: weights for the `demucs` command, and where they are downloaded from.
"""
