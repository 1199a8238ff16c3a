import os

# The pact library would report each run to its makers.
os.environ.setdefault("PACT_DO_NOT_TRACK", "true")
