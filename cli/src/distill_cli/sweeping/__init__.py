"""`distill sweep`: one job with several values of a few fields, on this machine, with one teacher for all."""
