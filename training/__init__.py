"""Training of the `demo` model: a small HTDemucs on synthesised music.

Nothing of this is needed to run the service: it ships the exported weights alone.
"""
