"""What a job will cost, before it runs: memory of each rank, size of the teacher's stored outputs, time.

`formulas` is the arithmetic with its sources, `plan` puts it together from `inputs`; these are pure and need no torch,
so that a job can be planned on paper. `count` takes a job's real networks apart on the meta device, `measure` times
them on this machine. `distill estimate` prints it.
"""
