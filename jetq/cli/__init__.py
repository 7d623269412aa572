"""
cli: the front door, a typer application.

Belongs here: commands, options, rendering, exit codes. Does not: any logic that Python users would miss.
"""
