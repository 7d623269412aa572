"""
runtime: composes processes for the doors.

Belongs here: loading an app, running a worker with its connection, signals and embedded server. The only room that
knows the engines together. Does not: printing (cli).
"""
