"""Hostile webhooks, made by a fuzzer that looks at which code they reach.

`webhooks` is the program that is fuzzed; `test_fuzz` runs it for a while, `make fuzz` for longer.
"""
