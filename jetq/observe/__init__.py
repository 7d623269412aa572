"""
observe: events out.

Belongs here: the bus that takes one event a transition, and its listeners (logs, metrics, traces). The only room
with structlog, prometheus and opentelemetry. Does not: deciding or changing anything.
"""
