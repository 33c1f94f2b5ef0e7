"""What `fastgate demo` shows: example origins in threads, the config of the gateway before them, commands to try."""
