"""`distill demo`: the way of one job, from an empty machine to a promoted canary, told step by step."""
