"""Training of the `demo` model: a small HTDemucs on synthesised music.

The service needs nothing of this: it ships only the exported weights.
"""
