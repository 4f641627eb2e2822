"""What `benchmarks/torture.py` and `tests/torture/` share: a project to torment, ways to do it, and a verdict on each.

`project` makes the project, `forker` and `commands` run stages and commands in it, `verdicts` says how each ended,
`mutations` has the ways to spoil a file. The other modules hold the cases, one subject each.
"""
