"""
jetstream: the NATS server, as jetq needs it.

Belongs here: the connection and where it leads, publishing, pulling, the stores and queues, topology, the embedded
server, and the translation of NATS errors. The only room that imports nats. Does not: deciding what happens to a
task (model) or when (worker, client).
"""
