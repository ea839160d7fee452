"""Policies: pure choice among candidates. One file each, and a registry.

A policy knows nothing of health, sockets or shared memory: it is told the
candidates whenever they change and picks one per call. Add one by writing its file
and naming it in `lb.balance.registry`.
"""
