"""An OpenAI-compatible server around one model.

Read `settings`, `front` (a request from its body to its answer), `ask` and `prepare` (body to prompt),
`said` (events to words), `admission` (who may come in); then `forms/` (the shapes of requests and answers),
`media/` (pictures and clips by address), `http/` (what stands between the network and `front`), `app`.
It must not know models, families or checkpoints: prompts and answers come from `engine`.
"""
