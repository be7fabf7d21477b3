"""The node itself: its registration, its addresses and GPUs, and what it keeps of each pod."""
