"""`track-tree-audio separate`: separates songs on this machine, as the `demucs` command does.

- `parser`, `options`: the command line, Demucs' own options and ours, and its checks;
- `models`: the model asked for, and what to do if its weights are missing;
- `layout`: where the files go;
- `track`: one song from its file to its stems;
- `console`: what is printed for people and programs;
- `command`: all songs, and the exit status.
"""
