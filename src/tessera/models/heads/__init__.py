"""Heads on a vision encoder: what a picture shows (`probe`), and what every pixel shows (`dense`).

Tensors to tensors, as the other parts: no pictures, no classes' names, no files.
"""
