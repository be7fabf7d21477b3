"""Faults at random on the real local cluster, under a steady load: is anything lost?

    python -m chaos --seed 7 --minutes 10

`plan` draws what will happen from the seed, `load` and `faults` carry it out, `proxy` and
`receiver` stand between the operator and whom it talks to. After the storm `settle` waits until all
is at rest, `aftermath` looks at what there is, and `invariants` says what is wrong with it.
"""
