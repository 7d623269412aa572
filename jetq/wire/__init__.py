"""
wire: bytes and names.

Belongs here: turning records, items and events into bytes and back, ids, every subject, stream, bucket and
header name. Does not: sending anything (jetstream), deciding anything (model).
"""
