"""
supervisor: keeps child processes alive.

Belongs here: starting, watching, replacing and ending processes, signals, the pid file, what systemd is told.
Does not: NATS, the user's application, handlers; a supervisor imports none of them, so that it stays small and a new
child loads new code.
"""
