"""Answers to numbers: pure functions of text."""
