"""One control step: guards, plan, fallback, limits, telemetry."""
