"""Conversations from ordinary annotations: boxes, classes, questions, captions, text lines, camera views."""
