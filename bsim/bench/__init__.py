"""Benchmarks against floors and peers in the same run. Times vary from machine to machine; the ratios hold."""
