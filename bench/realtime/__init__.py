"""Hubs side by side: a bare C send loop, fastgate, uWebSockets and nchan, with subscribers that check every number."""
