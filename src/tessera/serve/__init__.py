"""An OpenAI-compatible server around one model.

Read `settings`, `front` (a request from its body to its answer), `ask` and `prepare` (body to prompt),
`said` (events to words), `choosing` (one of several), `admission` (who may come in); then `forms/` (shapes
of requests and answers), `media/` (pictures and clips by address), `http/` (between network and `front`).
It must not know models, families or checkpoints: prompts and answers come from `engine`.
"""
