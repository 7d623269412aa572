"""
testing: tools for the tests of jetq's users.

Belongs here: running tasks inline through the real codec, router and executor; assertions; a server for tests.
Does not: anything that production code imports.
"""
