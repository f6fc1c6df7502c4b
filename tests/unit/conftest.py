"""Property tests of the unit suite are derandomised and bounded: the same examples everywhere, quickly."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "wabus",
    derandomize=True,
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wabus")
