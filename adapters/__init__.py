"""How it is done: each adapter keeps the promises of the ports whose file names it bears.

Adapters never import each other; `service/wiring.py` puts them together.
"""
