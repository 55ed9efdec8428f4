"""What people do to identities after the tracker: erase, merge, split, and take back.

========== =========================================================================
``erase``  a person out of everything that is stored
``edits``  merge and split: rows change hands, and can change back
``looks``  people by their looks: a picture against the stored embeddings
========== =========================================================================

``persons_edited`` and ``persons_by_picture`` are the resources over them.
"""
