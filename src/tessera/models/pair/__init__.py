"""InternVL 1.0's pair: a picture encoder and a language model that meet in one space.

Read `config`, `pooling` (tokens to one vector), `qllama` (LLaMA whose queries read a picture), `streams` (who
sees whom in its stream) and `pair`. It must not know texts, files or losses.
"""
