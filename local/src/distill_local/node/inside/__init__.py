"""What runs inside a container's namespaces before the container's own program does.

These files need the standard library alone: the node starts `enter` without
site-packages (`python -S`), so that a container begins within milliseconds.
"""
