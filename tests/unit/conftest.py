"""How hypothesis searches."""

from hypothesis import settings

# A machine busy with other tests is no reason to fail one that is merely slower than usual.
settings.register_profile("payments", deadline=None)
settings.load_profile("payments")
