"""Layers, containers and losses."""
