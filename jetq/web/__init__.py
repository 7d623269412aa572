"""
web: jetq over HTTP.

Belongs here: the HTTP API, what guards it, and the server that serves it. The only room with starlette and uvicorn.
Does not: what is done to tasks, queues and schedules, which the rooms below do; nothing below imports this.
"""
