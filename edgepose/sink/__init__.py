"""Poses go out, one file per destination."""
