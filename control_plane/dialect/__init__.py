"""The dialect of the existing React frontend: its paths and shapes, translated to and from the
product's own. What each field means: docs/frontend.md.

================ =================================================================
``routes``       which requests are the frontend's, where it shares a path
``tasks``        start, list and end tasks
``playback``     pause, resume, seek
``viewers``      whom a user follows; ``persons`` one person
``dashboard``    figures of a window of stored time; ``live_figures`` those of now
``sockets``      its two WebSockets; ``messages`` what they say
================ =================================================================

Handlers here ask the product's own handlers (``.fn``), so that access, audit and errors are theirs.
"""
