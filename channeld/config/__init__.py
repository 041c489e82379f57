"""The settings of the daemon, and the TOML file that holds them."""
