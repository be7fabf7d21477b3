"""The life of one pod: admission, volumes, containers, status, removal."""
