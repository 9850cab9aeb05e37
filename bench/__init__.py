"""Benchmarks: each subject measures figures, holds them against targets, and writes bench/results/<subject>.json."""
