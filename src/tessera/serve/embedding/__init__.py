"""A server around a pair of pictures and texts: `/v1/embeddings`.

Read `body` (what is asked), `work` (media read, rows made), `app` (the endpoints). It must not know the
engine, nor what a chat is beyond the parts of a message.
"""
