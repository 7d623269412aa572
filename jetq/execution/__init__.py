"""
execution: run a handler once and say what happened.

Belongs here: the executor, the context given to a handler, middleware, pools, what hands tasks on to other programs.
Returns an Outcome and never raises.
Does not: deciding what follows from it (model.verdict), writing anything (worker.settler).
"""
