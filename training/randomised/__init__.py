"""Scenes with as little in common as possible, for networks to learn from: what stays the same in
all of them is what people look like.

``room.py`` makes up rooms and clutter, ``people.py`` people and their poses, ``cameras.py`` where
cameras hang and what they are like, ``pictures.py`` draws them all with the truth.
"""
