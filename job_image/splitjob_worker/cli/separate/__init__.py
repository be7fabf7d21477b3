"""`track-tree-audio separate`: songs on this machine become stems, as with the `demucs` command.

- `parser`, `options`: the command line, Demucs' own options and ours, and what is refused;
- `models`: the model asked for, and what to do where its weights are missing;
- `layout`: where the files go;
- `track`: one song from its file to its stems;
- `console`: what people and programs are told;
- `command`: all songs, and the exit status.
"""
