"""The engine that both lanes share, and the fast lane's side of a connection.

`engine.Engine.exchange` turns one request into one response: it chooses a backend,
opens or reuses a connection, sends, waits for the response head and retries where
that is safe. A lane only brings a request and renders the response.
"""
