"""Gateways side by side: the floor, fastgate, nginx, HAProxy, Envoy, Traefik, Caddy under the same load in one run."""
