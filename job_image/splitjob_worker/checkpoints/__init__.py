"""What is finished of a long song is kept in the bucket, for the attempt that comes after.

    <job>/checkpoint/<attempt>/<identity>.<run>/00000000     a range of the stems
                                                index.json   what there is

Ranges follow one another from the song's beginning; each is written once, and the index after it.
Each run of a worker has a folder of its own, so that two that are alive at once never mix; an index
may also name ranges of the runs before, which it goes on from. Nobody but `remove` and the operator
deletes anything, and both only when the job has ended.

writing     ranges go up in a thread, while the model is at work
reading     the index that leads furthest is found, checked and downloaded
checkpoints both, for one song
"""
