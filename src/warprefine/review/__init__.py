"""The review page: a local server that shows a run in the browser, and takes corrections and decisions.

It needs the extra `review` (FastAPI and uvicorn), which nothing else imports.
"""
