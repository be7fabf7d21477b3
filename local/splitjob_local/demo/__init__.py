"""The demo: one song through the whole service on a real cluster, every step shown and checked.

run       the story, from an empty machine to an HTML page with players
narrate   how it is told: steps, checks, timings
song      the song: synthesised with known stems, or the user's own
audio     reading and writing sound
asking    the requests that are made, and what must come of each
client    a signed HTTP client, as a caller would write it
receiver  a webhook receiver, as a caller would run it
verify    the checks, done independently of the code that made what is checked
examine   what came back, held against what was promised
outcome   what the demo leaves: the page, the files, words about what went wrong
page      the HTML page
"""
