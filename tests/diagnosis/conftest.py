from hypothesis import HealthCheck, settings

# A busy machine may pause any example: how long one takes says nothing about right or wrong.
settings.register_profile("watchslo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("watchslo")
