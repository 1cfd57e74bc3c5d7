"""The chat page at `/`: a few static files, served as they are; the browser does the rest through the API.

Read `static/talk.js` (what a conversation is), `static/main.js` (what the buttons do), then `routes`. It must
not know the model or the engine, and the page asks nothing of any other origin.
"""
