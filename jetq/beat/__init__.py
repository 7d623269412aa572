"""
beat: makes the occurrences of schedules, in the one process of many that leads.

Belongs here: the leader's work, what is due next, following the stored schedules. Does not: when schedules are due
(model), elections and buckets (jetstream), the process around it (runtime), what applications declare (app).
"""
