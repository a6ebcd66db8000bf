"""Name every hyper-parameter once: frozen settings, nested by what depends on them, filled from TOML."""
