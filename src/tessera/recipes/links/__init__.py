"""Answers that other decoders finish: `masks` teaches the scale model to mask what it is asked for."""
