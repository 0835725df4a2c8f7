"""Tests of edgepose."""
