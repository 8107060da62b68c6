"""The PyTorch trainer: `python -m distill_trainer` distils a student from a teacher and writes it as a version folder."""
