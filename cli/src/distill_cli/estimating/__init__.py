"""`distill estimate`: what a job will cost, before it runs."""
