"""Files of requests and of answers in OpenAI's batch form, as written and read by whoever asks.

Read `lines`. Must not know who answers.
"""
