"""The demo: one song through the whole service on a real cluster, every step shown and checked.

run              the steps, from an empty machine to an HTML page with players
narrator         prints the steps, their checks and timings
song             the song: synthesised with known stems, or the user's own
models           the choice of the model
submit           the signed request, and the requests that must be refused
watch            following the SplitJob with kubectl
receiver         a webhook receiver, as a caller would run it
examine          the checks of webhook, manifest and stems
verify           signatures, checksums and sums, computed without the service's code
audio            reading and writing audio
outcome          the results: page, files, and the reason for a failure
page             the HTML page
stray_processes  processes that a cluster should not have left behind
"""
