"""The page of `wabus top`: a module for each section's words, the layout, and the page that lives.

What is shown is read by `shared.messaging.overview`; nothing here asks a server.
"""
