"""What people said of matches, for commands that report on identities."""

import asyncio

from control_plane.embedded import running_services
from control_plane.feedback import Agreement, agreement
from control_plane.settings import Settings
from control_plane.store import Store


def feedback_given(settings: Settings) -> Agreement:
    """Of all environments in the database; see feedback.Agreement."""
    with running_services(settings, needed=("database_url",)) as complete:
        return asyncio.run(_read(complete.database_url or ""))


def in_words(said: Agreement) -> str:
    """One line for a terminal."""
    if said.share_right is None:
        return "feedback: nobody has said anything about a match yet"
    total = said.right.count + said.wrong.count
    means = (
        f"{name} {judged.mean_cosine:.2f}"
        for name, judged in (("right", said.right), ("wrong", said.wrong))
        if judged.mean_cosine is not None
    )
    cosines = ", ".join(means)
    beside = f"; mean cosine: {cosines}" if cosines else ""
    return (
        f"feedback: {said.right.count} of {total} matches that people looked at are right{beside}"
    )


async def _read(url: str) -> Agreement:
    store = Store(url)
    try:
        async with store.connection() as connection:
            return await agreement(connection)
    finally:
        await store.close()
