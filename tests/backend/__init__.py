"""Tests of the demo backends."""
